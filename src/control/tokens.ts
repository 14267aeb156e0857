import { createHash, timingSafeEqual } from 'node:crypto';
import { readFile, stat } from 'node:fs/promises';
import { ConfigRefused } from '../domain/errors.ts';
import type { Log } from '../domain/ports.ts';

export interface TokenFile {
  /** Who holds it: the principal of its requests. */
  readonly name: string;
  readonly file: string;
}

interface Held {
  readonly name: string;
  readonly file: string;
  digest: Buffer;
  /** Of the file as it was read last. */
  signs: string;
}

/** Short tokens can be guessed; 16 bytes of randomness in any usual writing are longer than this. */
const lengthMin = 16;
const lengthMax = 4_096;

/**
 * Bearer tokens, each in a file of its own that is read again when it changes, so that a rotated one needs no restart.
 * Only digests are kept: comparing those takes one time whatever was sent, and nothing here can leak a token.
 */
export class Tokens {
  readonly #held: readonly Held[];
  readonly #log: Log;

  private constructor(held: readonly Held[], log: Log) {
    this.#held = held;
    this.#log = log;
  }

  /** @throws ConfigRefused with every file that holds no token */
  static async open(files: readonly TokenFile[], log: Log): Promise<Tokens> {
    const faults: string[] = [];
    const held: Held[] = [];
    for (const { name, file } of files) {
      try {
        held.push({ name, file, ...(await readToken(file)) });
      } catch (cause) {
        faults.push(`control.tokens: the token of ${name} cannot be used: ${why(cause)}`);
      }
    }
    if (faults.length > 0) throw new ConfigRefused(faults);
    return new Tokens(held, log);
  }

  /**
   * @param authorization the header field's value
   * @returns the principal; undefined if there is none
   * @see RFC 6750 section 2.1
   */
  async principalOf(authorization: string | undefined): Promise<string | undefined> {
    const token = /^Bearer +([A-Za-z0-9\-._~+/]+=*) *$/i.exec(authorization ?? '')?.[1];
    if (token === undefined) return undefined;
    await this.#refresh();
    const sent = digestOf(token);
    let principal: string | undefined;
    // Every one is compared, so that the time tells nothing of which it was.
    for (const { name, digest } of this.#held) if (timingSafeEqual(digest, sent)) principal = name;
    return principal;
  }

  async #refresh(): Promise<void> {
    for (const held of this.#held) {
      try {
        if ((await signsOf(held.file)) === held.signs) continue;
        Object.assign(held, await readToken(held.file));
        this.#log.info('a control token was read again', { principal: held.name });
      } catch (cause) {
        // A file that is being replaced may be missing or empty for a moment: the token that was read last still counts.
        this.#log.warn('a control token cannot be read; the one before counts', {
          principal: held.name,
          reason: why(cause),
        });
      }
    }
  }
}

async function signsOf(file: string): Promise<string> {
  const { ino, size, mtimeMs, ctimeMs } = await stat(file);
  return `${ino} ${size} ${mtimeMs} ${ctimeMs}`;
}

async function readToken(file: string): Promise<{ digest: Buffer; signs: string }> {
  const signs = await signsOf(file);
  const token = (await readFile(file, 'utf8')).trim();
  if (token.length < lengthMin || token.length > lengthMax)
    throw new Error(`it has ${token.length} characters, not ${lengthMin} to ${lengthMax}`);
  if (!/^[A-Za-z0-9\-._~+/]+=*$/.test(token)) throw new Error('it holds characters that no bearer token may have');
  return { digest: digestOf(token), signs };
}

function digestOf(token: string): Buffer {
  return createHash('sha256').update(token, 'utf8').digest();
}

/** Why a file cannot be used, without its path or what it holds. */
function why(cause: unknown): string {
  if (typeof cause === 'object' && cause !== null && 'code' in cause) return String(cause.code);
  return typeof cause === 'object' && cause !== null && 'message' in cause ? String(cause.message) : 'unreadable';
}
