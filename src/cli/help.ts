// Tested by test/cli/dispatch.test.ts.
export const commands = ['serve', 'check-config', 'explain', 'build', 'dev', 'health', 'version'] as const;
export type Command = (typeof commands)[number];

const general = `Postern decides on every action of a non-human identity at the moment it is attempted.

Usage: postern <command> [options]

Commands:
  serve          run the sidecar
  check-config   read the configuration and report every error in it
  explain        show the full reasoning for one request, input or recorded decision
  build          check, test and lint policies, and build a bundle of them
  dev            check, test and build policies on every save
  health         ask a running sidecar whether it is ready
  version        print the version

postern <command> --help shows details.

Exit codes: 0 success; 1 failure; 2 usage error.
Documentation: README.md, docs/configuration.md, docs/policy-author.md
`;

const configOption = `  --config FILE   configuration; default: $POSTERN_CONFIG, else postern.yaml`;

const environment = `Environment variables override configuration keys, e.g. POSTERN_LOG__LEVEL=debug
(docs/configuration.md).`;

const texts: Readonly<Record<Command, string>> = {
  serve: `Runs the sidecar until SIGTERM or SIGINT: it answers the requests in flight, then exits with code 0.
SIGHUP reloads the bundle.

Usage: postern serve [--config FILE]

Options:
${configOption}
  --help          show this text

${environment}
`,
  'check-config': `Reads the configuration, with overrides from the environment, and reports every error in it at once. It
does not open the files that the configuration names.

Usage: postern check-config [--config FILE] [--schema]

Options:
${configOption}
  --schema        print the JSON Schema of the file instead, e.g. for an editor to use
  --help          show this text

Exit codes: 0 no errors; 1 errors found; 2 usage error.
`,
  explain: `Shows the full reasoning for one request: what was known, which requirements were met, which were not, and
what to do about those. It evaluates the bundle in this process: nothing is decided, spent or recorded.

Usage: postern explain REQUEST [--known FILE] [--socket PATH] [--entrypoint NAME]
       postern explain --input FILE [--entrypoint NAME]
       postern explain --event FILE [--decision ID]
       postern explain --last | --decision ID

  REQUEST           an AuthZEN evaluation request in a file; - for standard input
  --input FILE      a complete policy input: the caller's half and the sidecar's half
  --event FILE      decision events, one JSON object per line: replays the last one, or the one that --decision names
  --last            replays the last decision in this sidecar's record
  --decision ID     replays the decision with this id (the answer's X-Decision-Id) in this sidecar's record

Options:
  --known FILE      the sidecar's half for REQUEST: an object with device, trust, grants …, or a decision event or
                    input to take it from; default: nothing is known, as on a sidecar without any report
  --socket PATH     the configured socket that REQUEST arrives on; default: the TCP listener
  --entrypoint NAME policy entrypoint; default: the event's, else decision.entrypoint of the configuration
  --bundle FILE     bundle; default: bundle.file of the configuration
${configOption.replace('--config FILE  ', '--config FILE    ')}
  --color, --no-color   colour on or off; default: on for a terminal, unless NO_COLOR is set
  --help            show this text

Exit codes: 0 explained, whatever the effect; 1 not explained; 2 usage error.
`,
  build: `Checks the policies in a directory (format, strict compile, tests with coverage, requirement lint) and builds a
bundle from them. The same sources give the same bytes.

Usage: postern build DIRECTORY --output FILE [--allow BUILTIN]

Options:
  --output FILE   file to write the bundle to, e.g. bundles/starter.tar.gz
  --allow BUILTIN http.send or net.lookup_ip_addr, if the sidecar's decision.builtins allows it; repeat for both
  --help          show this text

Needs OPA 1.22: $OPA, else opa on PATH, else the one that \`make bundle\` installs (docs/policy-author.md).
`,
  dev: `Watches the policies in a directory. On every save it compiles them strictly, lints and tests them, and replaces
the bundle; a sidecar that serves the file reloads it by itself. On an error it shows file and line and leaves the last
bundle in place. Test coverage is checked by \`postern build\` only. Ctrl-C stops it.

Usage: postern dev DIRECTORY --output FILE [--allow BUILTIN]

Options:
  --output FILE   file to write the bundle to, e.g. bundles/starter.tar.gz
  --allow BUILTIN http.send or net.lookup_ip_addr, if the sidecar's decision.builtins allows it; repeat for both
  --help          show this text

Needs OPA 1.22: $OPA, else opa on PATH, else the one that \`make bundle\` installs (docs/policy-author.md).
Exit codes: 0 stopped; 1 the bundle cannot be written or OPA was not found; 2 usage error.
`,
  health: `Asks the sidecar of a configuration whether it is ready, for a container's health check. The request goes to
probes.listen, else to control.listen, else to control.socket.

Usage: postern health [--config FILE] [--live] [--timeout-ms N]

Options:
${configOption}
  --live          check liveness instead of readiness
  --timeout-ms N  longest wait in milliseconds, 1 to 60000; default: 2000
  --help          show this text

Exit codes: 0 ready; 1 not ready or no answer; 2 usage error.
`,
  version: `Prints the version.

Usage: postern version

Options:
  --help   show this text
`,
};

export function isCommand(name: string): name is Command {
  return (commands as readonly string[]).includes(name);
}

/** The usage of one command, or of all. */
export function helpText(command?: Command): string {
  return command === undefined ? general : texts[command];
}
