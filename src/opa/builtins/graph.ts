// Tested by test/opa/builtins/identifiers.test.ts.
import type { BuiltinContext, BuiltinFamily } from '../values/builtin.ts';
import { isArray, mustBe, objectOperand } from '../values/operands.ts';
import { type RegoObject, RegoSet, type Value } from '../values/value.ts';

export const builtins: BuiltinFamily = {
  'graph.reachable_paths': (context, graphValue, initial) => {
    const graph = objectOperand(graphValue, 1);
    if (!isArray(initial) && !(initial instanceof RegoSet)) return mustBe(2, initial, '{array, set}');
    const paths = new RegoSet();
    for (const root of verticesOf(initial)) {
      const edges = graph.get(root);
      if (edges === undefined) continue;
      const neighbours = verticesOf(edges);
      if (neighbours.length === 0) paths.add([root]);
      for (const neighbour of neighbours) walk(context, graph, neighbour, [root], new RegoSet([root]), paths);
    }
    return paths;
  },
};

function verticesOf(collection: Value): readonly Value[] {
  if (collection instanceof RegoSet) return collection.sorted();
  return isArray(collection) ? collection : [];
}

/** The number of paths can be exponential in the size of the graph: every step is charged for. */
function walk(
  context: BuiltinContext,
  graph: RegoObject,
  vertex: Value,
  path: readonly Value[],
  reached: RegoSet,
  paths: RegoSet,
): void {
  context.charge(1 + path.length);
  const edges = graph.get(vertex);
  if (edges === undefined) {
    paths.add(path);
    return;
  }
  const longer = [...path, vertex];
  const neighbours = verticesOf(edges);
  if (neighbours.length === 0) paths.add(longer);
  const now = new RegoSet([...reached.values(), vertex]);
  for (const neighbour of neighbours) {
    if (now.has(neighbour)) paths.add(longer);
    else walk(context, graph, neighbour, longer, now, paths);
  }
}
