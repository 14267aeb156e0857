// Tested by test/opa/builtins/rego.long.test.ts.
import { BuiltinError } from '../values/builtin.ts';
import { BodyReader } from './bodies.ts';
import { checkCharacters, futureKeywords, importableKeywords, keywordsOfV1 } from './scanner.ts';
import {
  type Expr,
  type Head,
  isGround,
  nameOfRef,
  type Ref,
  type Rule,
  refOf,
  stringTerm,
  type Term,
  trueBody,
  trueTerm,
  varTerm,
} from './syntax.ts';
import { asRoot, operators, roots } from './terms.ts';

export type Statement =
  | { readonly kind: 'package'; readonly path: Ref }
  | { readonly kind: 'import'; readonly path: Term & { readonly type: 'ref' }; readonly alias: string }
  | { readonly kind: 'rule'; readonly rule: Rule }
  | { readonly kind: 'body'; readonly body: readonly Expr[] };

export interface Parsed {
  readonly statements: readonly Statement[];
  readonly comments: readonly { readonly text: string; readonly start: number }[];
}
/** Tokens that follow a keyword only if it is used as a rule's name, which is not allowed. */
const ruleNameFollowers = [':=', '=', 'if', 'contains', '('];
const operatorFollowers = [':=', '=', 'if', 'contains'];
const pathFollowers = [':=', '=', '('];
const followers: Readonly<Record<string, readonly string[]>> = {
  every: ruleNameFollowers,
  if: ruleNameFollowers,
  in: ruleNameFollowers,
  some: ruleNameFollowers,
  as: ruleNameFollowers,
  package: pathFollowers,
  import: pathFollowers,
  not: operatorFollowers,
  and: operatorFollowers,
  or: operatorFollowers,
  contains: ['if', 'contains'],
};

/**
 * Parses Rego v1 as OPA's own parser does: it tries what a text could be, in OPA's order, and takes back what failed.
 *
 * @throws BuiltinError where the text has an error; which one, it does not say
 */
export function parseRego(text: string, charge: (units: number) => void): Parsed {
  checkCharacters(text);
  return new Parser(text.startsWith('\ufeff') ? ` ${text.slice(1)}` : text, charge).parse();
}

class Parser extends BodyReader {
  parse(): Parsed {
    const statements: Statement[] = [];
    while (this.kind !== 'end') {
      const found = this.#statements();
      if (found === undefined) break;
      statements.push(...found);
    }
    if (this.state.errors > 0 || this.kind !== 'end') throw new BuiltinError('rego_parse_error');
    const comments: { text: string; start: number }[] = [];
    for (let at = this.state.comments; at !== undefined; at = at.before) {
      comments.push({ text: at.token.text.slice(1), start: at.token.start });
    }
    return { statements, comments: comments.reverse() };
  }

  #statements(): readonly Statement[] | undefined {
    if (this.#keywordForRuleName(false)) return undefined;
    const before = this.state;
    const failed = (): boolean => this.state.errors > 0;
    if (this.kind === 'package' || this.kind === 'import') {
      const statement = this.kind === 'package' ? this.#package() : this.#import();
      if (statement !== undefined) {
        if (this.kind !== '-') return [statement];
        this.error();
      }
      if (failed()) return undefined;
      this.state = before;
    }
    const rules = this.#rules();
    if (rules !== undefined) return rules.map((rule) => ({ kind: 'rule', rule }));
    if (failed()) return undefined;
    this.state = before;
    const body = this.query(true, 'end');
    return body === undefined ? undefined : [{ kind: 'body', body }];
  }
  // Packages and imports.

  /** @returns whether it is the path of a package or import that follows, and not a reference */
  #pathFollows(): boolean {
    this.scan(false);
    if (this.kind === '.' || this.kind === '[') return false;
    if (this.kind === 'space') this.scan();
    if (this.kind === 'identifier') return true;
    if (!this.isRefKeyword()) {
      this.error();
      return false;
    }
    this.retag('identifier');
    return true;
  }

  #package(): Statement | undefined {
    if (!this.#pathFollows()) return undefined;
    const term = this.term();
    if (term?.type === 'var') return { kind: 'package', path: [varTerm('data'), stringTerm(term.value)] };
    if (term?.type !== 'ref') return this.error();
    const [first, ...rest] = term.value;
    if (first?.type !== 'var' || rest.some((part) => part.type !== 'string')) return this.error();
    return { kind: 'package', path: [varTerm('data'), stringTerm(first.value), ...rest] };
  }

  #import(): Statement | undefined {
    if (!this.#pathFollows()) return undefined;
    // In the path the newer keywords are names.
    const { keywords } = this.state;
    const remembered = this.remembered;
    this.remembered = undefined;
    this.state = { ...this.state, keywords: new Set([...keywords].filter((word) => !futureKeywords.has(word))) };
    const term = this.term();
    this.remembered = remembered;
    this.state = { ...this.state, keywords };
    const path = term?.type === 'var' ? refOf(term) : term;
    if (path?.type !== 'ref') return this.error();
    const [root, ...rest] = path.value as Ref;
    if (root?.type !== 'var' || rest.some((part) => part.type !== 'string')) return this.error();
    if (!roots.has(root.value) && root.value !== 'future' && root.value !== 'rego') return this.error();
    const alias = this.kind === 'as' ? this.#alias() : '';
    if (alias === undefined) return undefined;
    const last = path.value.at(-1) as Term;
    const nameLast = last.type === 'var' || last.type === 'string' ? last.value : '';
    if (alias === '' && (root.value !== 'future' || rest.length === 0) && keywordsOfV1.has(nameLast)) this.error();
    const statement = { kind: 'import', path: path as Term & { type: 'ref' }, alias } as const;
    if (root.value === 'rego') this.#importRego(statement);
    if (root.value === 'future') this.#importFuture(statement);
    return statement;
  }

  #alias(): string | undefined {
    this.scan();
    if (this.kind !== 'identifier') return this.error();
    const alias = this.term();
    return alias?.type === 'var' ? alias.value : this.error();
  }

  #importRego({ path, alias }: Statement & { readonly kind: 'import' }): void {
    const version = nameOfRef(path);
    if (alias !== '' || (version !== 'rego.v1' && version !== 'rego.v2')) this.error();
    else if (version === 'rego.v2') this.#addKeywords(importableKeywords);
  }

  #importFuture({ path, alias }: Statement & { readonly kind: 'import' }): void {
    const [, name, keyword] = path.value;
    if (alias !== '' || name?.type !== 'string' || name.value !== 'keywords') {
      this.error();
    } else if (path.value.length !== 3) {
      this.#addKeywords(importableKeywords);
    } else if (keyword?.type === 'string' && futureKeywords.has(keyword.value)) {
      this.#addKeywords([keyword.value]);
    } else {
      this.error();
    }
  }

  #addKeywords(words: readonly string[]): void {
    if (words.includes('not')) this.notBodies = true;
    this.state = { ...this.state, keywords: new Set([...this.state.keywords, ...words]) };
    // The next token was read before they were keywords.
    const { kind, text } = this.state.token;
    if (kind === 'identifier' && futureKeywords.has(text) && this.state.keywords.has(text)) this.retag(text);
  }

  // Rules.

  #keywordForRuleName(isDefault: boolean): boolean {
    const following = Object.hasOwn(followers, this.kind) ? followers[this.kind] : undefined;
    if (following === undefined) return false;
    if (!isDefault && !following.includes(this.following(true))) return false;
    this.error();
    return true;
  }

  #rules(): readonly Rule[] | undefined {
    const start = this.start;
    this.keywordAsRef();
    const isDefault = this.kind === 'default';
    if (isDefault) {
      this.scan();
      this.keywordAsRef();
    }
    if (this.kind !== 'identifier') {
      if (isDefault) this.#keywordForRuleName(true);
      return undefined;
    }
    const found = this.#head();
    if (found === undefined) return undefined;
    if (isDefault) return this.#defaultRule(found, start);
    const multiValue = found.keywords.includes('contains');
    const withIf = this.kind === 'if';
    const head = withBackwardNames(found, withIf, multiValue);
    if (head === undefined) return undefined;
    return this.#ruleBody(head, start, withIf, multiValue);
  }

  #defaultRule(head: Head, start: number): readonly Rule[] | undefined {
    const names = head.args.map((arg) => (arg.type === 'var' ? arg.value : undefined));
    const valid =
      head.value !== undefined &&
      !refersToAnything(head.value) &&
      !names.includes(undefined) &&
      new Set(names).size === names.length;
    if (!valid) return this.error();
    return [{ head, body: trueBody(start), bodyGenerated: false, isDefault: true }];
  }

  #ruleBody(head: Head, start: number, withIf: boolean, multiValue: boolean): readonly Rule[] | undefined {
    let body: readonly Expr[] | undefined;
    const own: Head = withIf ? { ...head, keywords: [...head.keywords, 'if'] } : head;
    if (withIf) {
      this.scan();
      body = this.#bodyOfIf();
    } else if (this.kind === '{') {
      body = this.bracedBody();
    } else if (multiValue) {
      return [{ head: own, body: trueBody(start), bodyGenerated: true, isDefault: false }];
    }
    if (body === undefined) return undefined;
    let rule: Rule = { head: own, body, bodyGenerated: false, isDefault: false };
    // It may be another rule, whose name begins with `else`.
    if (this.kind === 'else' && !this.keywordAsRef()) {
      if ((head.ref.length > 1 && !isGround(refOf(...head.ref))) || head.key !== undefined) return this.error();
      const otherwise = this.#else(head);
      if (otherwise === undefined) return undefined;
      rule = { ...rule, otherwise };
    }
    const rules = [rule];
    while (this.kind === '{') {
      if (rule.otherwise !== undefined) return this.error();
      const next = this.bracedBody();
      if (next === undefined) return undefined;
      const chained: Head = { ...own, args: this.#freshWildcards(own.args), copied: 'all' };
      rules.push({ head: chained, body: next, bodyGenerated: false, isDefault: false });
    }
    return rules;
  }

  /** A literal, or a body in braces where no literal is. */
  #bodyOfIf(): readonly Expr[] | undefined {
    const before = this.state;
    const braced = this.kind === '{';
    const expr = this.literal();
    const isSet = expr?.terms.kind === 'term' && expr.terms.term.type === 'set' && braced;
    if (expr !== undefined && !isSet) return [expr];
    if (!braced) return undefined;
    this.state = before;
    return this.bracedBody();
  }

  #freshWildcards(args: readonly Term[]): readonly Term[] {
    return args.map((arg) => (arg.type === 'var' && arg.value.startsWith('$') ? this.wildcard() : arg));
  }

  #else(of: Head): Rule | undefined {
    const start = this.start;
    const args = this.#freshWildcards(of.args);
    let head: Head = { ...of, keywords: [], valueGenerated: false, args, copied: 'all but its value' };
    this.scan();
    if (this.kind === '{' || this.kind === 'if') {
      head = { ...head, value: trueTerm, valueGenerated: true };
    } else if (this.kind === ':=' || this.kind === '=') {
      const assign = this.kind === ':=';
      this.scan();
      const value = this.infix();
      if (value === undefined) return undefined;
      head = { ...head, value, assign };
    } else {
      return this.error();
    }
    const withIf = this.kind === 'if';
    if (!withIf && this.kind !== '{') {
      return { head, body: trueBody(start), bodyGenerated: true, isDefault: false };
    }
    if (withIf) {
      head = { ...head, keywords: ['if'] };
      this.scan();
    }
    const body = this.#bodyOfElse();
    if (body === undefined) return undefined;
    const rule: Rule = { head, body, bodyGenerated: false, isDefault: false };
    if (this.kind !== 'else') return rule;
    const otherwise = this.#else(of);
    return otherwise === undefined ? undefined : { ...rule, otherwise };
  }

  #bodyOfElse(): readonly Expr[] | undefined {
    if (this.kind === '{') return this.bracedBody();
    if (this.kind === 'end') return this.error();
    const expr = this.literal();
    return expr === undefined ? undefined : [expr];
  }

  #head(): Head | undefined {
    const name = this.#headName(this.variable());
    if (name === undefined) return this.error();
    let ref: Ref;
    let args: readonly Term[] | undefined;
    if (name.type === 'var') {
      ref = [name];
    } else if (name.type === 'ref') {
      ref = name.value;
    } else if (name.type === 'call') {
      const [operator, ...operands] = name.value;
      if (operator?.type !== 'ref' || operator.value[0]?.type !== 'var') return this.error();
      ref = operator.value;
      args = operands;
    } else {
      return undefined;
    }
    return this.#headEnd(ref, args);
  }

  #headEnd(ref: Ref, args: readonly Term[] | undefined): Head | undefined {
    const [first] = ref;
    const name = ref.length === 1 && first?.type === 'var' ? first.value : '';
    const head: Head = { name, ref, args: args ?? [], assign: false, valueGenerated: false, keywords: [] };
    if (this.kind === 'contains') {
      if (args !== undefined) this.error();
      this.scan();
      const key = this.infix();
      if (key === undefined) this.error();
      return { ...head, keywords: ['contains'], ...(key === undefined ? {} : { key }) };
    }
    if (this.kind === ':=' || this.kind === '=') {
      const assign = this.kind === ':=';
      this.scan();
      const value = this.infix();
      if (value !== undefined) return { ...head, assign, value };
      this.error();
    }
    if (ref.length !== 2 || head.args.length > 0) return { ...head, value: trueTerm, valueGenerated: true };
    return head;
  }

  #headName(head: Term): Term | undefined {
    this.scan(false);
    if (Object.hasOwn(operators, this.kind) && this.kind !== '=' && this.kind !== ':=') this.error();
    else if (this.kind === 'space') this.scan();
    if (this.kind === '(' || this.kind === '.' || this.kind === '[') return this.ref(head);
    return asRoot(head);
  }
}

/** Whether a value holds a reference, variable or call outside of comprehensions, which a default cannot. */
function refersToAnything(term: Term): boolean {
  switch (term.type) {
    case 'ref':
    case 'var':
    case 'call':
      return true;
    case 'array':
    case 'set':
      return term.value.some(refersToAnything);
    case 'object':
      return term.value.some(([key, value]) => refersToAnything(key) || refersToAnything(value));
    case 'templatestring':
      return term.parts.some((part) => ('type' in part ? refersToAnything(part) : exprRefers(part)));
    default:
      return false;
  }
}

function exprRefers({ terms, with: modifiers }: Expr): boolean {
  if (modifiers.length > 0) return true;
  return terms.kind === 'term' ? refersToAnything(terms.term) : true;
}

/** `p[x]` is a set where nothing says otherwise, and keeps the name that it had before references were heads. */
function withBackwardNames(head: Head, withIf: boolean, multiValue: boolean): Head | undefined {
  const [first, second] = head.ref;
  if (multiValue || head.ref.length !== 2 || first === undefined || second === undefined) return head;
  if (withIf) {
    const keyed = (!isGround(second) || second.type === 'ref') && head.args.length === 0;
    const named: Head = keyed ? { ...head, key: second } : head;
    if (head.value === undefined) return { ...named, value: trueTerm, valueGenerated: true };
    return first.type === 'var' ? { ...named, name: first.value } : undefined;
  }
  if (head.args.length > 0) return head;
  if (first.type !== 'var') return undefined;
  const named: Head = { ...head, name: first.value, key: second };
  return head.value === undefined ? { ...named, ref: [first] } : named;
}
