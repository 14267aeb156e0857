// Tested by test/config/bundle-rules.test.ts.
import { isAlias, isNode, isPair, isScalar, parseDocument, visit } from 'yaml';
import { type Fault, shown } from './fault.ts';

/** A configuration is read by people; one that is larger is none. */
const textUnitsMax = 1024 * 1024;

/**
 * Reads one YAML 1.2 document (core schema) as the plain tree that it looks like: no tags, anchors, aliases or merge keys,
 * and only text as a key, so that what a reader sees is what the sidecar gets.
 *
 * @returns the tree; undefined if it could not be read at all, `faults` then says why. Repeated keys are faults too, but
 * leave a tree that is worth a further look.
 */
export function readYaml(text: string, at: string, faults: Fault[]): unknown {
  if (text.length > textUnitsMax) {
    faults.push({ at, text: `longer than ${textUnitsMax} characters` });
    return undefined;
  }
  const found: Fault[] = [];
  const fault = (offset: number, what: string) => found.push({ at, text: `line ${lineOf(text, offset)}: ${what}` });
  try {
    const document = parseDocument(text, { version: '1.2', schema: 'core', merge: false, prettyErrors: false });
    let readable = true;
    for (const problem of [...document.errors, ...document.warnings]) {
      if (problem.code === 'TAG_RESOLVE_FAILED') continue; // told below, with every other tag
      if (problem.code !== 'DUPLICATE_KEY') readable = false;
      fault(problem.pos[0], problem.code === 'DUPLICATE_KEY' ? 'duplicate key' : firstLine(problem.message));
    }
    visit(document, (_, node) => {
      if (isAlias(node)) {
        readable = false;
        fault(node.range?.[0] ?? 0, 'aliases are not supported: write the value out');
      } else if (isPair(node)) {
        if (!isScalar(node.key) || typeof node.key.value !== 'string') {
          readable = false;
          const key = isScalar(node.key) ? `the key ${shown(node.key.value)}` : 'a key';
          fault(isNode(node.key) ? (node.key.range?.[0] ?? 0) : 0, `${key} is not text: put it in quotes`);
        }
      } else if (isNode(node) && node.tag !== undefined) {
        readable = false;
        fault(node.range?.[0] ?? 0, `tags are not supported: ${shown(node.tag)}`);
      }
    });
    faults.push(...found);
    return readable ? (document.toJS({ maxAliasCount: 0 }) as unknown) : undefined;
  } catch (cause) {
    // Some thousand levels of nesting exhaust the parser's stack; a few levels are all that a configuration has.
    if (!(cause instanceof RangeError)) throw cause;
    faults.push({ at, text: 'nested too deeply' });
    return undefined;
  }
}

function lineOf(text: string, offset: number): number {
  return text.slice(0, offset).split('\n').length;
}

function firstLine(message: string): string {
  return message.split('\n', 1)[0] ?? '';
}
