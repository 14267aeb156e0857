import { call, type Reply } from './call.ts';
import { isObject } from './pep/answer.ts';

export interface GrantRequest {
  readonly subject: string;
  readonly actions: readonly string[];
  readonly resources: readonly string[];
  readonly reason: string;
  readonly ttl_s: number;
  readonly max_uses: number;
}

/** What device managers, risk engines, orchestrators, builders and approvers do: they write through the control listener. */
export class Control {
  readonly #socket: string;
  readonly #token: string;
  #sequence = 0;

  constructor(socket: string, token: string) {
    this.#socket = socket;
    this.#token = token;
  }

  /** One report. Two of them can fall into one millisecond; the sequence says which was the later one. */
  async report(
    source: string,
    kind: 'device' | 'subject' | 'workload',
    id: string,
    attributes: Readonly<Record<string, unknown>>,
  ): Promise<void> {
    this.#sequence += 1;
    const signal = {
      about: { kind, id },
      attributes,
      observed_at: new Date().toISOString(),
      source,
      sequence: this.#sequence,
    };
    expectDone(await this.#post('/v1/signals', signal), 'the report');
  }

  /** @returns the HTTP status: an attestation that does not verify is refused at the door */
  async attach(envelope: object): Promise<number> {
    return (await this.#post('/v1/attestations', envelope)).status;
  }

  /** @returns the id of the grant that was asked for */
  async requestGrant(grant: GrantRequest): Promise<string> {
    const reply = await this.#post('/v1/grants', grant);
    expectDone(reply, 'the grant request');
    const asked: unknown = JSON.parse(reply.body);
    const id = isObject(asked) ? asked['id'] : undefined;
    if (typeof id !== 'string') throw new Error('the grant request was answered without an id');
    return id;
  }

  async approveGrant(id: string): Promise<void> {
    expectDone(await this.#post(`/v1/grants/${encodeURIComponent(id)}/approve`), 'the approval');
  }

  async #post(path: string, body?: unknown): Promise<Reply> {
    return await call(
      { socket: this.#socket },
      { method: 'POST', path, token: this.#token, ...(body !== undefined && { body }) },
    );
  }
}

function expectDone({ status, body }: Reply, what: string): void {
  if (status < 200 || status > 299) throw new Error(`${what} was answered ${status}: ${body}`);
}
