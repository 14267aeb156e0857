import { connect, type Socket } from 'node:net';

/** What became of one request. */
export type Outcome =
  | {
      readonly kind: 'answered';
      readonly status: number;
      readonly decisionId: string | undefined;
      readonly body: string;
    }
  /** The connection was over before this request's first byte went out. */
  | { readonly kind: 'unsent' }
  /** The connection ended and not a byte of an answer had come. */
  | { readonly kind: 'unanswered' }
  /** It ended in the middle of an answer. */
  | { readonly kind: 'cut' };

/** Sends one request after another on one connection, as bytes, and says what became of each. */
export class RawCaller {
  readonly #socket: Socket;
  #text = '';
  #over = false;
  #changed: () => void = () => undefined;

  private constructor(socket: Socket) {
    this.#socket = socket;
    socket.setNoDelay(true);
    socket.on('data', (chunk: Buffer) => {
      this.#text += chunk.toString('latin1');
      this.#changed();
    });
    for (const event of ['end', 'close', 'error']) {
      socket.on(event, () => {
        this.#over = true;
        this.#changed();
      });
    }
  }

  /** @returns undefined if nobody listens (any more) */
  static async open(port: number): Promise<RawCaller | undefined> {
    const socket = connect({ host: '127.0.0.1', port });
    return new Promise((resolve) => {
      socket.once('connect', () => resolve(new RawCaller(socket)));
      socket.once('error', () => resolve(undefined));
    });
  }

  get isOver(): boolean {
    return this.#over;
  }

  async ask(bytes: string): Promise<Outcome> {
    if (this.#over) return { kind: 'unsent' };
    this.#text = '';
    this.#socket.write(bytes);
    for (;;) {
      const answer = answerIn(this.#text);
      if (answer !== undefined) {
        if (answer.closes) {
          this.#over = true;
          this.#socket.destroy();
        }
        return answer.outcome;
      }
      if (this.#over) return { kind: this.#text === '' ? 'unanswered' : 'cut' };
      await new Promise<void>((resolve) => {
        this.#changed = resolve;
      });
    }
  }

  close(): void {
    this.#over = true;
    this.#socket.destroy();
    this.#changed();
  }
}

function answerIn(text: string): { readonly outcome: Outcome; readonly closes: boolean } | undefined {
  const headEnd = text.indexOf('\r\n\r\n');
  if (headEnd < 0) return undefined;
  const head = text.slice(0, headEnd);
  const body = text.slice(headEnd + 4);
  if (body.length < Number(/\r\ncontent-length: (\d+)/i.exec(head)?.[1] ?? 0)) return undefined;
  return {
    outcome: {
      kind: 'answered',
      status: Number(head.slice(9, 12)),
      decisionId: /\r\nx-decision-id: ([^\r]+)/i.exec(head)?.[1],
      body,
    },
    closes: /\r\nconnection: close/i.test(head),
  };
}

/** A request for a decision as bytes. */
export function raw(body: object | string): string {
  const text = typeof body === 'string' ? body : JSON.stringify(body);
  return `POST /access/v1/evaluation HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\nContent-Length: ${Buffer.byteLength(text)}\r\n\r\n${text}`;
}

/** Of a list of times, the one that 99 of 100 are not above. */
export function p99(times: readonly number[]): number {
  const sorted = [...times].sort((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * 0.99))] ?? Number.NaN;
}

export function milliseconds(time: number): string {
  return `${time.toFixed(1)} ms`;
}
