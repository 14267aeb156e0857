// Tested by test/knowledge/store/open-stores.long.test.ts.
import { createHash } from 'node:crypto';
import { open, type RootDatabase } from 'lmdb';
import type { Change } from './backing.ts';

const checksumBytes = 16;
const schemaKey = 'schema';
export const schemaVersion = 1;

/** The LMDB environment in one directory. It blocks while it syncs, so it lives on a thread of its own. */
export class StoreFile {
  readonly #db: RootDatabase<Buffer, Buffer>;

  /**
   * @throws NewerSchema if a later version wrote it
   * @throws whatever LMDB throws for a file it does not take for its own
   */
  static async open(directory: string): Promise<StoreFile> {
    const file = new StoreFile(directory);
    try {
      const schema = file.#schema();
      if (schema === undefined) file.commit([{ key: schemaKey, text: String(schemaVersion) }]);
      else if (schema > schemaVersion) throw new NewerSchema(schema);
      return file;
    } catch (cause) {
      await file.close();
      throw cause;
    }
  }

  private constructor(directory: string) {
    // Without overlappingSync a commit is LMDB's own: data, fdatasync, then the meta page, written through. A failed one
    // throws where it was asked for, and the next may follow; the asynchronous kind rejects promises without handlers,
    // and after a failed sync the value is there all the same (both tried with strace, lmdb 3.5.6).
    this.#db = open<Buffer, Buffer>(directory, {
      noSubdir: false,
      overlappingSync: false,
      encoding: 'binary',
      keyEncoding: 'binary',
      maxDbs: 1,
    });
    // Slots of readers that were killed keep LMDB from ever reusing the pages they last saw.
    this.#db.readerCheck();
  }

  /** @throws whatever LMDB throws for a damaged tree, and if it has more or fewer records than it says */
  readAll(): { readonly records: Map<string, string>; readonly unreadable: string[] } {
    const records = new Map<string, string>();
    const unreadable: string[] = [];
    let count = 0;
    for (const { key, value } of this.#db.getRange()) {
      count += 1;
      const name = Buffer.from(key).toString('latin1');
      if (name === schemaKey) continue;
      const text = unframed(name, value);
      if (text === undefined) unreadable.push(name);
      else records.set(name, text);
    }
    const { entryCount } = this.#db.getStats() as { readonly entryCount: number };
    if (count !== entryCount) throw new Error(`${count} records where the tree says ${entryCount}`);
    return { records, unreadable };
  }

  /** @throws whatever LMDB throws; nothing of it is visible then, and it may be on disk or not */
  commit(changes: readonly Change[]): void {
    this.#db.transactionSync(() => {
      for (const { key, text } of changes) {
        const bytes = Buffer.from(key, 'latin1');
        if (text === undefined) this.#db.removeSync(bytes);
        else this.#db.putSync(bytes, framed(key, text));
      }
    });
  }

  /**
   * Writes every record into another, empty store, the unreadable ones as they are. LMDB checks nothing of its list of
   * free pages until it takes one, and a damaged list ends the process then; the copy has a new one.
   */
  copyInto(target: StoreFile): void {
    target.#db.transactionSync(() => {
      for (const { key, value } of this.#db.getRange()) target.#db.putSync(key, value);
    });
  }

  async close(): Promise<void> {
    await this.#db.close();
  }

  /** @returns undefined for a store that nothing was ever written to */
  #schema(): number | undefined {
    const value = this.#db.get(Buffer.from(schemaKey, 'latin1'));
    if (value === undefined) {
      for (const _ of this.#db.getKeys({ limit: 1 })) throw new Error('records without a schema');
      return undefined;
    }
    const version = Number(unframed(schemaKey, value));
    if (!Number.isSafeInteger(version)) throw new Error('the schema is unreadable');
    return version;
  }
}

export class NewerSchema extends Error {
  readonly version: number;

  constructor(version: number) {
    super(`written with schema ${version}, this is ${schemaVersion}`);
    this.version = version;
  }
}

/** LMDB has no checksums. The key is part of the sum, so that a value found under another record's key is a bad one. */
function checksum(key: string, body: Uint8Array): Buffer {
  return createHash('sha256')
    .update(`${Buffer.byteLength(key)}:${key}`)
    .update(body)
    .digest()
    .subarray(0, checksumBytes);
}

function framed(key: string, text: string): Buffer {
  const body = Buffer.from(text);
  return Buffer.concat([checksum(key, body), body]);
}

function unframed(key: string, value: Uint8Array): string | undefined {
  if (value.length < checksumBytes) return undefined;
  const body = value.subarray(checksumBytes);
  if (!checksum(key, body).equals(value.subarray(0, checksumBytes))) return undefined;
  return new TextDecoder('utf-8', { fatal: true }).decode(body);
}
