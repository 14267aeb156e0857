import { fork } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import type { Answer, Ask, Question } from './answer.ts';
import type { SessionReply, SessionRequest } from './database-session.ts';
import { type Able, isTrue, limit, permission } from './permission.ts';

/** What this enforcement point can hold a session to. */
export interface DatabaseConstraints {
  readonly read_only: true;
  readonly max_rows: number;
  readonly statement_timeout_ms: number;
}

export const databaseAble: Able<DatabaseConstraints> = {
  read_only: isTrue,
  max_rows: limit,
  statement_timeout_ms: limit,
};

export type QueryOutcome =
  | { readonly done: 'rows'; readonly rows: readonly unknown[]; readonly cutAt: number | undefined }
  | { readonly done: 'refused'; readonly by: 'sidecar' | 'pep' | 'database'; readonly because: string };

const sessionFile = fileURLToPath(new URL('./database-session.ts', import.meta.url));
/** Without a constraint of its own a statement still ends some day. */
const longestMs = 60_000;

/** Stands in front of one SQLite file: every statement is asked about, and run in a session as the answer says. */
export class DatabasePep {
  readonly #ask: Ask;
  readonly #file: string;
  readonly #able: Able<DatabaseConstraints>;

  /** @param able what it can carry out; an older enforcement point knows less */
  constructor(ask: Ask, file: string, able: Able<DatabaseConstraints> = databaseAble) {
    this.#ask = ask;
    this.#file = file;
    this.#able = able;
  }

  async query(question: Question, sql: string): Promise<{ readonly answer: Answer; readonly outcome: QueryOutcome }> {
    const answer = await this.#ask(question);
    const allowed = permission<DatabaseConstraints>(answer, this.#able);
    if (!allowed.permitted) {
      const by = answer.permits ? 'pep' : 'sidecar';
      return { answer, outcome: { done: 'refused', by, because: allowed.because } };
    }
    const { read_only: readOnly = false, max_rows: maxRows, statement_timeout_ms: timeoutMs } = allowed.constraints;
    const outcome = await inSession(
      { file: this.#file, sql, readOnly, ...(maxRows !== undefined && { maxRows }) },
      timeoutMs ?? longestMs,
    );
    return { answer, outcome };
  }
}

/**
 * One statement in a process of its own. SQLite's API for Node has no way to interrupt a statement that runs, and a
 * worker thread ends only when the native call returns; a process ends when it is told to.
 */
async function inSession(request: SessionRequest, timeoutMs: number): Promise<QueryOutcome> {
  const session = fork(sessionFile, [], { execArgv: ['--no-warnings'], stdio: ['ignore', 'ignore', 'inherit', 'ipc'] });
  const outcome = Promise.withResolvers<QueryOutcome>();
  const refuse = (by: 'pep' | 'database', because: string) => outcome.resolve({ done: 'refused', by, because });
  let timer: NodeJS.Timeout | undefined;
  session.on('message', (reply: SessionReply) => {
    if (reply.kind === 'ready') {
      // The clock is the statement's, not that of a process being started.
      timer = setTimeout(() => {
        session.kill('SIGKILL');
        refuse('pep', `statement stopped after ${timeoutMs} ms`);
      }, timeoutMs);
      session.send(request);
    } else if (reply.kind === 'rows') outcome.resolve({ done: 'rows', rows: reply.rows, cutAt: reply.cutAt });
    else refuse('database', reply.message);
  });
  session.on('error', (error) => refuse('pep', error.message));
  session.on('exit', (code) => refuse('pep', `the session ended with ${code}`));
  try {
    return await outcome.promise;
  } finally {
    clearTimeout(timer);
    if (session.connected) session.disconnect();
  }
}
