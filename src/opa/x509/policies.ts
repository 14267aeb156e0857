// Tested by test/opa/builtins/x509-chains.long.test.ts.
import type { Certificate } from './certificate.ts';

/** anyPolicy, 2.5.29.32.0 */
const anyPolicy = '551d2000';

interface Node {
  readonly policy: string;
  expected: readonly string[];
  readonly parents: Set<Node>;
  readonly children: Set<Node>;
}

function nodeOf(policy: string, parents: Iterable<Node>): Node {
  const node: Node = { policy, expected: [policy], parents: new Set(parents), children: new Set() };
  for (const parent of node.parents) parent.children.add(node);
  return node;
}

/** The graph of RFC 9618, which does not grow as RFC 5280's tree of policies can. */
class PolicyGraph {
  readonly #strata: Map<string, Node>[] = [new Map([[anyPolicy, nodeOf(anyPolicy, [])]])];
  #byExpected = new Map<string, Node[]>();

  get leaves(): Map<string, Node> {
    return this.#strata.at(-1) ?? new Map<string, Node>();
  }

  get parents(): Map<string, Node> {
    return this.#strata.at(-2) ?? new Map<string, Node>();
  }

  parentsExpecting(policy: string): readonly Node[] {
    return this.#byExpected.get(policy) ?? [];
  }

  insert(node: Node): void {
    this.leaves.set(node.policy, node);
  }

  deepen(): void {
    this.#byExpected = new Map();
    for (const node of this.leaves.values()) {
      for (const expected of node.expected) {
        const expecting = this.#byExpected.get(expected);
        if (expecting === undefined) this.#byExpected.set(expected, [node]);
        else expecting.push(node);
      }
    }
    this.#strata.push(new Map());
  }

  deleteLeaf(policy: string): void {
    const node = this.leaves.get(policy);
    if (node === undefined) return;
    for (const parent of node.parents) parent.children.delete(node);
    this.leaves.delete(policy);
  }

  /** Takes away what leads to no leaf. */
  prune(): void {
    for (let depth = this.#strata.length - 2; depth > 0; depth--) {
      for (const node of this.#strata[depth]?.values() ?? []) {
        if (node.children.size > 0) continue;
        for (const parent of node.parents) parent.children.delete(node);
        this.#strata[depth]?.delete(node.policy);
      }
    }
  }

  /** Whether any policy is valid for the chain. */
  get valid(): boolean {
    if (this.leaves.has(anyPolicy)) return true;
    return this.#strata.some((stratum) =>
      [...stratum.values()].some(
        ({ policy, parents }) =>
          policy !== anyPolicy && parents.size === 1 && [...parents].some((parent) => parent.policy === anyPolicy),
      ),
    );
  }
}

/**
 * RFC 5280, section 6.1, as far as it is about policies, where the caller wants none in particular.
 *
 * @param chain from the leaf to the root
 */
export function policiesValid(chain: readonly Certificate[], charge: (units: number) => void): boolean {
  const count = chain.length - 1;
  if (count === 0) return true;
  let graph: PolicyGraph | undefined = new PolicyGraph();
  let inhibitAny = count + 1;
  let explicit = count + 1;
  let mapping = count + 1;
  for (const [index, certificate] of [...chain.entries()].slice(0, count).reverse()) {
    const selfIssued = certificate.rawIssuer.equals(certificate.rawSubject);
    const policies = new Set((certificate.policies ?? []).map((policy) => policy.toString('hex')));
    charge(policies.size + certificate.policyMappings.length);
    if (policies.size === 0) graph = undefined;
    if (explicit === 0 && graph === undefined) return false;
    if (graph !== undefined) {
      grow(graph, policies, inhibitAny > 0 || (index > 0 && selfIssued));
      if (index !== 0 && !map(graph, certificate, mapping > 0)) return false;
    }
    if (index === 0) break;
    if (!selfIssued) {
      explicit = Math.max(explicit - 1, 0);
      mapping = Math.max(mapping - 1, 0);
      inhibitAny = Math.max(inhibitAny - 1, 0);
    }
    explicit = lowered(explicit, certificate.requireExplicitPolicy);
    mapping = lowered(mapping, certificate.inhibitPolicyMapping);
    inhibitAny = lowered(inhibitAny, certificate.inhibitAnyPolicy);
  }
  explicit = Math.max(explicit - 1, 0);
  if (chain[0]?.requireExplicitPolicy === 0) explicit = 0;
  return explicit > 0 || graph?.valid === true;
}

function lowered(current: number, given: number | undefined): number {
  return given !== undefined && given >= 0 ? Math.min(current, given) : current;
}

function grow(graph: PolicyGraph, policies: ReadonlySet<string>, anyCounts: boolean): void {
  graph.deepen();
  for (const policy of policies) {
    if (policy === anyPolicy) continue;
    const any = graph.parents.get(anyPolicy);
    let parents = graph.parentsExpecting(policy);
    if (parents.length === 0 && any !== undefined) parents = [any];
    if (parents.length > 0) graph.insert(nodeOf(policy, parents));
  }
  if (policies.has(anyPolicy) && anyCounts) {
    const missing = new Map<string, Node[]>();
    for (const parent of graph.parents.values()) {
      for (const expected of parent.expected) {
        if (!graph.leaves.has(expected)) missing.set(expected, [...(missing.get(expected) ?? []), parent]);
      }
    }
    for (const [policy, parents] of missing) graph.insert(nodeOf(policy, parents));
  }
  graph.prune();
}

/** @returns whether the mappings are valid */
function map(graph: PolicyGraph, { policyMappings }: Certificate, allowed: boolean): boolean {
  const mappings = new Map<string, string[]>();
  for (const mapping of policyMappings) {
    const issuer = mapping.issuer.toString('hex');
    const subject = mapping.subject.toString('hex');
    if (!allowed) graph.deleteLeaf(issuer);
    else if (issuer === anyPolicy || subject === anyPolicy) return false;
    else mappings.set(issuer, [...(mappings.get(issuer) ?? []), subject]);
  }
  if (policyMappings.length > 0) graph.prune();
  for (const [issuer, subjects] of mappings) {
    const leaf = graph.leaves.get(issuer);
    const any = graph.leaves.get(anyPolicy);
    if (leaf !== undefined) {
      leaf.expected = subjects;
    } else if (any !== undefined) {
      const node = nodeOf(issuer, [any]);
      node.expected = subjects;
      graph.insert(node);
    }
  }
  return true;
}
