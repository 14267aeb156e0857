// Tested by test/knowledge/store/durable-store.test.ts.
import { createHash } from 'node:crypto';
import { crc32 } from 'node:zlib';

/**
 * A record's key in the store: LMDB's keys are short and ids may be long, so the id goes in as its hash. The key checks
 * itself, so that one which was damaged is not taken for another record's.
 *
 * @param kind what the record is, e.g. `signal`
 * @param parts what names it; no two lists of parts give one key
 */
export function recordKey(kind: string, parts: readonly string[]): string {
  const body = `${kind}/${createHash('sha256').update(JSON.stringify(parts)).digest('base64url')}`;
  return `${body}.${crc32(body).toString(16)}`;
}

/** Whether a key is one that `recordKey` made. */
export function isRecordKey(key: string): boolean {
  const dot = key.lastIndexOf('.');
  return dot > 0 && key.slice(dot + 1) === crc32(key.slice(0, dot)).toString(16);
}

export function kindOf(key: string): string {
  return key.slice(0, key.indexOf('/'));
}
