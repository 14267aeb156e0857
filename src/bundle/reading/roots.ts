// Tested by test/bundle/reading/read-bundle.long.test.ts.
/** Where a bundle's data may stand: `a/b` is `data.a.b` and all below it; the empty one is all of `data`. */
export type Root = string;

export function segmentsOf(root: Root): readonly string[] {
  return root === '' ? [] : root.split('/');
}

/** Whether a path stands at a root or below it. */
export function isBelow(path: readonly string[], root: Root): boolean {
  return segmentsOf(root).every((segment, index) => path[index] === segment);
}

/** Whether a path leads to a root: `a` on the way to `a/b`. */
export function leadsTo(path: readonly string[], root: Root): boolean {
  const segments = segmentsOf(root);
  return path.every((segment, index) => segments[index] === segment);
}

/** @returns the first two roots of which one stands below the other, or both are the same */
export function overlap(ours: readonly Root[], theirs: readonly Root[]): readonly [Root, Root] | undefined {
  for (const a of ours) {
    for (const b of theirs) {
      if (isBelow(segmentsOf(a), b) || isBelow(segmentsOf(b), a)) return [a, b];
    }
  }
  return undefined;
}

/** For messages: `data.a.b`. */
export function shownPath(path: readonly string[]): string {
  return ['data', ...path].join('.').slice(0, 200);
}
