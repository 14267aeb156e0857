export const commands = ['serve', 'check-config', 'explain', 'build', 'dev', 'health', 'version'] as const;
export type Command = (typeof commands)[number];

const general = `Postern judges every action of a non-human identity at the moment it is tried.

Usage: postern <command> [options]

Commands:
  serve          run the sidecar
  check-config   read the configuration and tell every fault in it
  explain        show the full reasoning for one request, input or recorded decision
  build          check, test and lint policies, and build a bundle of them
  dev            check, test and build policies again on every save
  health         ask a running sidecar whether it is ready
  version        print the version

postern <command> --help tells more of each.

Exit codes: 0 done; 1 failed; 2 called wrongly.
Documentation: README.md, docs/configuration.md, docs/policy-author.md
`;

const configOption = `  --config FILE   configuration; else POSTERN_CONFIG; else postern.yaml`;

const environment = `Every key of the configuration can be set by the environment too, e.g. POSTERN_LOG__LEVEL=debug
(docs/configuration.md).`;

const texts: Readonly<Record<Command, string>> = {
  serve: `Runs the sidecar until SIGTERM or SIGINT: what is in flight is answered, then it ends with exit code 0.
SIGHUP reads the bundle again.

Usage: postern serve [--config FILE]

Options:
${configOption}
  --help          this text

${environment}
`,
  'check-config': `Reads the configuration, with the environment's overrides, and tells every fault in it at once. Files that it names
are not opened.

Usage: postern check-config [--config FILE] [--schema]

Options:
${configOption}
  --schema        print the JSON Schema of the file instead, e.g. for an editor
  --help          this text

Exit codes: 0 no fault; 1 faults; 2 called wrongly.
`,
  explain: `Shows the full reasoning for one request: what was known, which requirements were met and which not, what can be done
about it. It evaluates the bundle here, next to the sidecar: nothing is decided, spent or recorded.

Usage: postern explain REQUEST [--known FILE] [--socket PATH] [--entrypoint NAME]
       postern explain --input FILE [--entrypoint NAME]
       postern explain --event FILE [--decision ID]
       postern explain --last | --decision ID

  REQUEST           an AuthZEN evaluation request in a file; - for standard input
  --input FILE      a whole policy input, both halves of it
  --event FILE      decision events, one JSON object a line: replays the last one, or the one that --decision names
  --last            replays the last decision of this sidecar's record
  --decision ID     replays that decision of this sidecar's record; its id is the answer's X-Decision-Id

Options:
  --known FILE      the sidecar's half for REQUEST: an object with device, trust, grants …, or a decision event or input
                    whose half is taken; without it nothing is known, as on a sidecar that was never told anything
  --socket PATH     REQUEST comes through this socket of the configuration; without it, through its TCP listener
  --entrypoint NAME policy entrypoint; else the event's, else decision.entrypoint of the configuration
  --bundle FILE     bundle; else bundle.file of the configuration
${configOption.replace('--config FILE  ', '--config FILE    ')}
  --color, --no-color   colour, or none; else colour on a terminal, unless NO_COLOR is set
  --help            this text

Exit codes: 0 explained, whatever the effect; 1 it could not be; 2 called wrongly.
`,
  build: `Checks the policies in a directory (format, strict compile, tests with coverage, the requirement lint) and builds a
bundle of them, the same bytes for the same sources.

Usage: postern build DIRECTORY --output FILE [--allow BUILTIN]

Options:
  --output FILE   where the bundle goes, e.g. bundles/starter.tar.gz
  --allow BUILTIN http.send or net.lookup_ip_addr, for a sidecar whose decision.builtins allows it; may be given twice
  --help          this text

It needs OPA 1.22: $OPA, else opa on PATH, else what \`make bundle\` installs (docs/policy-author.md).
`,
  dev: `Watches the policies in a directory. On every save they are compiled strictly, linted and tested, and a bundle of them
is written, whole or not at all; a sidecar that serves the file takes it by itself. A fault is shown with file and line,
and the bundle before it stays. How many lines the tests reach is left to \`postern build\`. Ctrl-C ends it.

Usage: postern dev DIRECTORY --output FILE [--allow BUILTIN]

Options:
  --output FILE   where the bundle goes, e.g. bundles/starter.tar.gz
  --allow BUILTIN http.send or net.lookup_ip_addr, for a sidecar whose decision.builtins allows it; may be given twice
  --help          this text

It needs OPA 1.22: $OPA, else opa on PATH, else what \`make bundle\` installs (docs/policy-author.md).
Exit codes: 0 told to stop; 1 it cannot write, or there is no OPA; 2 called wrongly.
`,
  health: `Asks the sidecar of a configuration whether it is ready, for a container's health check. The question goes to
probes.listen, else to control.listen, else to control.socket.

Usage: postern health [--config FILE] [--live] [--timeout-ms N]

Options:
${configOption}
  --live          ask whether it is alive, not whether it is ready
  --timeout-ms N  longest wait, 1 to 60000; 2000 if left out
  --help          this text

Exit codes: 0 ready; 1 not ready or no answer; 2 called wrongly.
`,
  version: `Prints the version.

Usage: postern version

Options:
  --help   this text
`,
};

export function isCommand(name: string): name is Command {
  return (commands as readonly string[]).includes(name);
}

/** The usage of one command, or of all. */
export function helpText(command?: Command): string {
  return command === undefined ? general : texts[command];
}
