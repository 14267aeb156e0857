/** The builtins with which a policy asks somebody outside of the sidecar: never unless configuration says so. */
export const outboundBuiltins = ['http.send', 'net.lookup_ip_addr'] as const;
export type OutboundBuiltin = (typeof outboundBuiltins)[number];

/** What a policy asks of somebody outside, checked and plain. */
export type OutboundRequest =
  | {
      readonly kind: 'http';
      readonly method: string;
      readonly url: string;
      readonly headers: Readonly<Record<string, string>>;
      readonly body: Uint8Array;
      readonly followsRedirects: boolean;
      /** What the policy itself wants to wait; undefined: what configuration says. */
      readonly timeoutMs: number | undefined;
      readonly tls: TlsWishes;
    }
  | { readonly kind: 'lookup'; readonly name: string };

/** All PEM text. */
export interface TlsWishes {
  /** Trusted in place of the usual authorities. */
  readonly ca?: string;
  /** Together with `ca`: the usual ones are trusted too. */
  readonly usualToo?: boolean;
  readonly certificate?: string;
  readonly key?: string;
  readonly serverName?: string;
}

/** What came of a question; plain data, which goes from one thread to another. */
export type OutboundReply =
  | {
      readonly kind: 'response';
      /** With its reason phrase, e.g. `404 Not Found`. */
      readonly status: string;
      readonly statusCode: number;
      readonly headers: Readonly<Record<string, readonly string[]>>;
      readonly body: Uint8Array;
    }
  | { readonly kind: 'addresses'; readonly addresses: readonly string[] }
  /** `network`: nobody answered as one should; `refused`: it is not to be asked; `not_found`: there is no such name. */
  | { readonly kind: 'failed'; readonly why: 'network' | 'refused' | 'not_found'; readonly message: string };

/** Whoever can ask: bounded in all that it does. */
export interface Outbound {
  /**
   * For one decision, and its deadline starts.
   *
   * @throws Undecided `outside_unavailable` if as many decisions wait as may
   */
  begin(): Conversation;
}

/** What one decision asks, one question after the other. */
export interface Conversation {
  /** @throws Undecided `outside_unavailable` past the decision's deadline, `policy_budget_spent` past its count */
  ask(question: OutboundRequest): Promise<OutboundReply>;
  end(): void;
}
