import { createHash, timingSafeEqual } from 'node:crypto';
import { readFile, stat } from 'node:fs/promises';
import { ConfigRefused } from '../domain/errors.ts';
import type { Log } from '../domain/ports.ts';
import { osErrorCode } from '../system/os-error.ts';

export interface TokenFile {
  /** Who holds it: the principal of its requests. */
  readonly name: string;
  readonly file: string;
}

interface LoadedToken extends TokenFile {
  /** Absent: its file holds no token now, and nothing is one. */
  digest: Buffer | undefined;
  /** Of the file as it was read last. */
  fingerprint: string;
}

/** Short tokens can be guessed; 16 bytes of randomness in any usual writing are longer than this. */
const lengthMin = 16;
const lengthMax = 4_096;

/**
 * Bearer tokens, each in a file of its own that is looked at with every request, so that a new one counts at once and one
 * that was taken away counts no more. Only digests are kept: comparing those takes one time whatever was sent, and
 * nothing here can leak a token.
 */
export class Tokens {
  readonly #held: readonly LoadedToken[];
  readonly #log: Log;

  private constructor(held: readonly LoadedToken[], log: Log) {
    this.#held = held;
    this.#log = log;
  }

  /** @throws ConfigRefused with every file that holds no token, or another's */
  static async open(files: readonly TokenFile[], log: Log): Promise<Tokens> {
    const faults: string[] = [];
    const held: (LoadedToken & { readonly digest: Buffer })[] = [];
    for (const { name, file } of files) {
      try {
        const read = await readToken(file);
        const twin = held.find(({ digest }) => digest.equals(read.digest));
        if (twin !== undefined) throw new Error(`${twin.name} has the same token`);
        held.push({ name, file, ...read });
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
    await Promise.all(this.#held.map((held) => this.#refresh(held)));
    const sent = digestOf(token);
    const principals: string[] = [];
    // Every one is compared, so that the time tells nothing of which it was.
    for (const { name, digest } of this.#held) {
      if (timingSafeEqual(digest ?? never, sent) && digest !== undefined) principals.push(name);
    }
    // A token with two holders is refused: it would not say which of them approved.
    return principals.length === 1 ? principals[0] : undefined;
  }

  async #refresh(held: LoadedToken): Promise<void> {
    const principal = held.name;
    try {
      if ((await fingerprintOf(held.file)) === held.fingerprint) return;
      Object.assign(held, await readToken(held.file));
      this.#log.info('a control token was reloaded', { principal });
    } catch (cause) {
      if (held.digest === undefined) return;
      held.digest = undefined;
      held.fingerprint = '';
      this.#log.warn('a control token cannot be read any more; requests with it are refused', {
        principal,
        reason: why(cause),
      });
    }
  }
}

/** The digest of no token: a text that hashes to it is not known. */
const never = Buffer.alloc(32);

async function fingerprintOf(file: string): Promise<string> {
  const { ino, size, mtimeMs, ctimeMs } = await stat(file);
  return `${ino} ${size} ${mtimeMs} ${ctimeMs}`;
}

async function readToken(file: string): Promise<{ digest: Buffer; fingerprint: string }> {
  const fingerprint = await fingerprintOf(file);
  const token = (await readFile(file, 'utf8')).trim();
  if (token.length < lengthMin || token.length > lengthMax)
    throw new Error(`it has ${token.length} characters, not ${lengthMin} to ${lengthMax}`);
  if (!/^[A-Za-z0-9\-._~+/]+=*$/.test(token))
    throw new Error('it contains characters that a bearer token may not contain');
  return { digest: digestOf(token), fingerprint };
}

function digestOf(token: string): Buffer {
  return createHash('sha256').update(token, 'utf8').digest();
}

/** Why a file cannot be used, without its path or what it holds. */
function why(cause: unknown): string {
  const code = osErrorCode(cause);
  if (code !== undefined) return code;
  return typeof cause === 'object' && cause !== null && 'message' in cause ? String(cause.message) : 'unreadable';
}
