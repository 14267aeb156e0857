import { connect, type Socket } from 'node:net';

export interface RawResponse {
  readonly status: number;
  /** Names in lower case; a repeated one is joined by a line break. */
  readonly headers: ReadonlyMap<string, string>;
  readonly body: string;
}

export interface Conversation {
  /** All that came back, byte for byte (Latin-1). */
  readonly text: string;
  readonly responses: readonly RawResponse[];
  /** Whether the other side ended the connection. */
  readonly closed: boolean;
}

/** A connection whose bytes the test writes itself. */
export class RawConnection {
  readonly socket: Socket;
  #text = '';
  #closed = false;
  #changed: () => void = () => undefined;

  private constructor(socket: Socket) {
    this.socket = socket;
    socket.setNoDelay(true);
    socket.on('data', (chunk: Buffer) => {
      this.#text += chunk.toString('latin1');
      this.#changed();
    });
    const over = (): void => {
      this.#closed = true;
      this.#changed();
    };
    socket.on('end', over);
    socket.on('close', over);
    // A reset is one way to be closed; what had arrived before counts.
    socket.on('error', over);
  }

  static async open(to: { readonly port: number } | { readonly path: string }): Promise<RawConnection> {
    const socket = 'port' in to ? connect({ host: '127.0.0.1', port: to.port }) : connect({ path: to.path });
    await new Promise<void>((resolve, reject) => socket.once('connect', resolve).once('error', reject));
    return new RawConnection(socket);
  }

  get closed(): boolean {
    return this.#closed;
  }

  get conversation(): Conversation {
    return { text: this.#text, responses: responsesIn(this.#text), closed: this.#closed };
  }

  /** @returns when the bytes are out, or cannot go out any more */
  write(bytes: string | Uint8Array): Promise<void> {
    return new Promise((resolve) => {
      if (this.#closed || !this.socket.writable) resolve();
      else this.socket.write(typeof bytes === 'string' ? Buffer.from(bytes, 'latin1') : bytes, () => resolve());
    });
  }

  /** @returns what was said by the time that it is enough, the other side closes, or `withinMs` are over */
  async until(enough: (conversation: Conversation) => boolean, withinMs = 20_000): Promise<Conversation> {
    const deadline = performance.now() + withinMs;
    while (!this.#closed && !enough(this.conversation)) {
      const left = deadline - performance.now();
      if (left <= 0) break;
      await new Promise<void>((resolve) => {
        const timer = setTimeout(resolve, left);
        this.#changed = () => {
          clearTimeout(timer);
          resolve();
        };
      });
    }
    return this.conversation;
  }

  responses(count: number, withinMs?: number): Promise<Conversation> {
    return this.until(({ responses }) => responses.length >= count, withinMs);
  }

  end(withinMs?: number): Promise<Conversation> {
    return this.until(() => false, withinMs);
  }

  destroy(): void {
    this.socket.destroy();
  }
}

/** Writes all of it on a connection of its own, and reads until the other side closes it or `responses` have come. */
export async function speak(
  port: number,
  bytes: string | Uint8Array,
  options: { readonly responses?: number; readonly withinMs?: number } = {},
): Promise<Conversation> {
  const connection = await RawConnection.open({ port });
  void connection.write(bytes);
  const said =
    options.responses === undefined
      ? await connection.end(options.withinMs)
      : await connection.responses(options.responses, options.withinMs);
  connection.destroy();
  return said;
}

/** Whole responses with a Content-Length, in order; 1xx ones too. */
function responsesIn(text: string): readonly RawResponse[] {
  const found: RawResponse[] = [];
  let rest = text;
  for (;;) {
    const headEnd = rest.indexOf('\r\n\r\n');
    const line = /^HTTP\/1\.1 (\d{3}) [^\r\n]*\r\n/.exec(rest);
    if (headEnd < 0 || line === null) return found;
    const headers = new Map<string, string>();
    for (const field of rest.slice(line[0].length, headEnd).split('\r\n')) {
      const colon = field.indexOf(':');
      if (colon < 0) continue;
      const name = field.slice(0, colon).toLowerCase();
      const value = field.slice(colon + 1).trim();
      const before = headers.get(name);
      headers.set(name, before === undefined ? value : `${before}\n${value}`);
    }
    const length = Number(headers.get('content-length') ?? 0);
    const body = rest.slice(headEnd + 4, headEnd + 4 + length);
    if (body.length < length) return found;
    found.push({ status: Number(line[1]), headers, body });
    rest = rest.slice(headEnd + 4 + length);
  }
}

/** A request as bytes; a body brings its Content-Length unless the headers say otherwise. */
export function request(
  line: string,
  headers: readonly string[] = [],
  body: string | Uint8Array = '',
  host = '127.0.0.1',
): Buffer {
  const bytes = typeof body === 'string' ? Buffer.from(body, 'utf8') : Buffer.from(body);
  const framed = headers.some((header) => /^(content-length|transfer-encoding)\s*:/i.test(header));
  const fields = [
    `Host: ${host}`,
    ...headers,
    ...(bytes.length > 0 && !framed ? [`Content-Length: ${bytes.length}`] : []),
  ];
  return Buffer.concat([Buffer.from(`${line} HTTP/1.1\r\n${fields.join('\r\n')}\r\n\r\n`, 'latin1'), bytes]);
}
