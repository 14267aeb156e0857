// Tested by test/outbound/http-send.long.test.ts.
/** The builtins with which a policy calls servers: only if the configuration allows it. */
export const outboundBuiltins = ['http.send', 'net.lookup_ip_addr'] as const;
export type OutboundBuiltin = (typeof outboundBuiltins)[number];

/** A policy's call of a server, checked, as plain data. */
export type OutboundRequest =
  | {
      readonly kind: 'http';
      readonly method: string;
      readonly url: string;
      readonly headers: Readonly<Record<string, string>>;
      readonly body: Uint8Array;
      readonly followsRedirects: boolean;
      /** The policy's own timeout; undefined: the configured one. */
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

/** The result of a call; plain data that can be sent to another thread. */
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
  /** `network`: no valid answer; `refused`: not allowed by the configuration; `not_found`: the name does not exist. */
  | { readonly kind: 'failed'; readonly why: 'network' | 'refused' | 'not_found'; readonly message: string };

/** Makes calls for policies, within limits. */
export interface Outbound {
  /**
   * For one decision, and its deadline starts.
   *
   * @throws Undecided `outside_unavailable` if as many decisions wait as may
   */
  begin(): Conversation;
}

/** The calls of one decision, one after the other. */
export interface Conversation {
  /** @throws Undecided `outside_unavailable` past the decision's deadline, `policy_budget_spent` past its count */
  ask(question: OutboundRequest): Promise<OutboundReply>;
  end(): void;
}
