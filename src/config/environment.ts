import type { Fault } from './fault.ts';
import { nearest } from './nearest.ts';
import { configShape, everyPath, memberShape, type Shape, withoutNull } from './shape.ts';
import { readYaml } from './yaml.ts';

const prefix = 'POSTERN_';

/** Read by the command line, not by the configuration: where the file is. */
export const configFileVariable = 'POSTERN_CONFIG';

/**
 * Variables that the kubelet sets in every container for a Service called `postern` or `postern-…`: they are not ours and
 * must not prevent a start (Kubernetes documentation, "Service", "Environment variables"). Our names never end so.
 */
const serviceLink = /_SERVICE_HOST$|_SERVICE_PORT(_[A-Z0-9_]+)?$|_PORT(_\d+_(TCP|UDP|SCTP)(_(PROTO|PORT|ADDR))?)?$/;

/** e.g. `POSTERN_DECISION__LIMITS__BODY_BYTES` for `decision.limits.body_bytes` */
export function variableOf(path: string): string {
  return prefix + path.toUpperCase().replaceAll('.', '__');
}

/** Paths that a variable can set: all with fixed names; lists and records as a whole. */
export function overridable(): readonly string[] {
  return [...everyPath()].map(([path]) => path).filter((path) => !path.includes('['));
}

/**
 * Lays the environment's overrides over the file's tree.
 *
 * @returns the new tree, and for each path that was set the variable that did it
 */
export function override(
  file: unknown,
  env: Readonly<Record<string, string | undefined>>,
  faults: Fault[],
): { readonly tree: unknown; readonly setBy: ReadonlyMap<string, string> } {
  const setBy = new Map<string, string>();
  const paths = new Map(overridable().map((path) => [variableOf(path), path]));
  let tree = file;
  // Outer paths first, so that an inner one refines what an outer one sets, whatever the order of the environment.
  for (const [variable, text] of Object.entries(env).sort(([a], [b]) => a.length - b.length || (a < b ? -1 : 1))) {
    if (text === undefined || !variable.startsWith(prefix) || variable === configFileVariable) continue;
    const path = paths.get(variable);
    if (path === undefined) {
      if (serviceLink.test(variable)) continue;
      const meant = nearest(variable, paths.keys());
      faults.push({
        at: '',
        text: `${variable}: unknown setting${meant === undefined ? '' : `; did you mean ${meant}?`}`,
      });
      continue;
    }
    const value = valueFrom(text, shapeAt(path), `${path} (from ${variable})`, faults);
    if (value === undefined) continue;
    tree = withValue(tree, configShape, path.split('.'), value);
    setBy.set(path, variable);
  }
  return { tree, setBy };
}

function shapeAt(path: string): Shape {
  return path.split('.').reduce((shape, name) => withoutNull(memberShape(shape, name) ?? {}).shape, configShape);
}

/** Text stays as it is, so that an id of digits or an address in brackets needs no quotes; the rest is YAML. */
function valueFrom(text: string, shape: Shape, at: string, faults: Fault[]): unknown {
  if (shape.type === 'string') return text === 'null' ? null : text;
  return readYaml(text, at, faults);
}

/**
 * A copy of the tree with one value set. On the way there, an absent value or a null that switches a section off becomes
 * an object; any other value that is not an object stays, and is a fault of its own.
 */
function withValue(tree: unknown, whole: Shape, [name = '', ...rest]: readonly string[], value: unknown): unknown {
  const { shape, nullable } = withoutNull(whole);
  const from = tree === undefined || (tree === null && nullable) ? {} : tree;
  if (typeof from !== 'object' || from === null || Array.isArray(from)) return from;
  const object: Readonly<Record<string, unknown>> = { ...from };
  const member = memberShape(shape, name) ?? {};
  return { ...object, [name]: rest.length === 0 ? value : withValue(object[name], member, rest, value) };
}
