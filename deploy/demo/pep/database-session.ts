/** One session with a SQLite file: opens it as it is told, runs one statement, sends its rows, ends. */
import { DatabaseSync } from 'node:sqlite';

export interface SessionRequest {
  readonly file: string;
  readonly sql: string;
  readonly readOnly: boolean;
  readonly maxRows?: number;
}

export type SessionReply =
  | { readonly kind: 'ready' }
  | { readonly kind: 'rows'; readonly rows: readonly unknown[]; readonly cutAt: number | undefined }
  | { readonly kind: 'failed'; readonly message: string };

function run({ file, sql, readOnly, maxRows }: SessionRequest): SessionReply {
  // The database itself refuses writes, whatever the statement says; and no statement can reach another file.
  const database = new DatabaseSync(file, { readOnly, limits: { attach: 0 } });
  try {
    const statement = database.prepare(sql);
    // prepare() compiles the first statement and leaves the rest unread.
    if (sql.slice(statement.sourceSQL.length).trim() !== '') return failed('one statement at a time');
    const rows: unknown[] = [];
    for (const row of statement.iterate()) {
      if (rows.length === maxRows) return { kind: 'rows', rows, cutAt: maxRows };
      rows.push(row);
    }
    return { kind: 'rows', rows, cutAt: undefined };
  } catch (error) {
    return failed(error instanceof Error ? error.message : 'failed');
  } finally {
    database.close();
  }
}

function failed(message: string): SessionReply {
  return { kind: 'failed', message };
}

function reply(message: SessionReply): void {
  process.send?.(message);
}

process.once('message', (request: SessionRequest) => reply(run(request)));
reply({ kind: 'ready' });
