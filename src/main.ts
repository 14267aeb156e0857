#!/usr/bin/env node
// Tested by test/process/start.long.test.ts.
import { randomInt, randomUUID } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { hostname } from 'node:os';
import { buffer } from 'node:stream/consumers';
import { setFlagsFromString } from 'node:v8';
import { readArguments } from './cli/arguments.ts';
import { build } from './cli/build.ts';
import { checkConfig } from './cli/check-config.ts';
import { dev } from './cli/dev.ts';
import { dispatch } from './cli/dispatch.ts';
import { type CliEffects, exitCodes } from './cli/effects.ts';
import { explain } from './cli/explain.ts';
import { health } from './cli/health.ts';
import { loadConfig } from './cli/load-config.ts';
import { loadPolicy } from './cli/load-policy.ts';
import { printVersion, version } from './cli/version.ts';
import { asSidecarError } from './domain/errors.ts';
import { type Clock, epochMs } from './domain/time.ts';
import { type Sidecar, startSidecar } from './sidecar/sidecar.ts';
import { realTimers } from './system/real-timers.ts';
import { lineSink, unblockedOutput } from './telemetry/line-sink.ts';
import { createLog } from './telemetry/log.ts';

/** Less than the 30 seconds that Kubernetes gives a pod to end by itself. */
const graceMs = 20_000;
/** What a second SIGTERM leaves: still time to write what was acknowledged. */
const hurryMs = 500;
/** What there is beyond that to write and let go; then something hangs. */
const closingMs = 4_000;
/** How long to wait for unread log output, in ms. */
const drainMs = 500;

/** @see process.threadCpuUsage, in microseconds */
const threadCpuMs = (): number => {
  const { user, system } = process.threadCpuUsage();
  return (user + system) / 1_000;
};

const clock: Clock = { now: () => epochMs(Date.now()), monotonicMs: () => performance.now() };

const effects: CliEffects = {
  out: (text) => process.stdout.write(text),
  err: (text) => process.stderr.write(text),
  env: process.env,
  readFile: (path) => (path === '-' ? buffer(process.stdin) : readFile(path)),
  hostname: hostname(),
  directory: process.cwd(),
  isTerminal: process.stdout.isTTY === true,
  clock,
  threadCpuMs,
};

/** Runs the sidecar until it is told to stop. */
async function serve(args: readonly string[]): Promise<number> {
  // A policy is compiled where it is prepared: else each function is at its first call, on the thread that answers.
  setFlagsFromString('--no-wasm-lazy-compilation');
  const { values } = readArguments(args, { config: { type: 'string' } });
  const { config, path } = await loadConfig(values.config, effects);
  // Only this user reads our files, and the group that a decision record or a socket is shared with.
  process.umask(0o027);
  const sink = lineSink(unblockedOutput(process.stdout.fd, process.stdout));
  const log = createLog({ ...config.log, clock, write: sink.write });
  /** With the exit code; without one if something hangs. */
  const stopped = Promise.withResolvers<number | undefined>();
  let worst: number = exitCodes.ok;
  const stop = (code: number, withinMs: number): void => {
    worst = Math.max(worst, code);
    setTimeout(() => {
      log.error('the sidecar could not close in time');
      stopped.resolve(undefined);
    }, withinMs + closingMs);
    const closed = started.then((sidecar) => sidecar?.close(withinMs));
    closed.then(
      () => stopped.resolve(worst),
      (cause: unknown) => {
        log.error('the sidecar could not close cleanly', { cause });
        stopped.resolve(exitCodes.failure);
      },
    );
  };
  let asked = false;
  const onSignal = (signal: NodeJS.Signals): void => {
    log.info(asked ? 'second signal: shutting down now' : 'shutting down', { signal });
    stop(exitCodes.ok, asked ? hurryMs : graceMs);
    asked = true;
  };
  process.on('SIGTERM', onSignal);
  process.on('SIGINT', onSignal);
  process.on('SIGHUP', () => void started.then((sidecar) => sidecar?.reloadBundle()));
  // After an uncaught fault the state of the process is unknown: it says so and ends; the supervisor restarts it.
  const onFault = (cause: unknown): void => {
    log.error('an unexpected fault ends the sidecar', { cause });
    stop(exitCodes.failure, hurryMs);
  };
  process.on('uncaughtException', onFault);
  process.on('unhandledRejection', onFault);

  log.info('starting', { config: path, version, node: process.version });
  const started: Promise<Sidecar | undefined> = startSidecar(config, {
    clock,
    timers: realTimers,
    newId: randomUUID,
    random: () => randomInt(2 ** 32) / 2 ** 32,
    threadCpuMs,
    log,
    version,
    nodeVersion: process.version,
  }).catch((cause: unknown) => {
    // A fault with a name of ours says all there is to say; anything else is our own bug, and needs its stack.
    const named = asSidecarError(cause);
    if (named.code === 'internal') log.error('the sidecar cannot start', { cause });
    else log.error(`the sidecar cannot start: ${named.message}`, { code: named.code });
    stopped.resolve(exitCodes.failure);
    return undefined;
  });

  const code = await stopped.promise;
  const unread = await sink.drained(drainMs);
  if (unread > 0) {
    const errors = lineSink(unblockedOutput(process.stderr.fd, process.stderr));
    errors.write(
      `postern serve: ${unread + log.dropped()} lines of the log were not written: its reader does not read`,
    );
    await errors.drained(drainMs);
  }
  // `process.exit` waits for threads, also for one that hangs on a disk. (The first process of a container cannot kill
  // itself; its runtime does that then.)
  if (code === undefined) process.kill(process.pid, 'SIGKILL');
  // Not left to end by itself: whatever is still open, such as an unread log, would keep it for as long.
  return process.exit(code ?? exitCodes.failure);
}

/** Aborts at the first SIGINT or SIGTERM; the second one ends the process as if there were no listener. */
function toldToStop(): AbortSignal {
  const told = new AbortController();
  const stop = (): void => {
    process.off('SIGINT', stop);
    process.off('SIGTERM', stop);
    told.abort();
  };
  process.on('SIGINT', stop);
  process.on('SIGTERM', stop);
  return told.signal;
}

process.exitCode = await dispatch(process.argv.slice(2), effects, {
  serve,
  'check-config': checkConfig,
  explain: (args, cli) => explain(args, cli, { loadPolicy: (file) => loadPolicy(file, cli) }),
  build,
  dev: (args, cli) => dev(args, cli, toldToStop()),
  health,
  version: printVersion,
});
