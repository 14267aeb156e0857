// Tested by test/knowledge/store/open-stores.long.test.ts.
/** The longest id of a subject, device, session or grant, in UTF-16 units. */
export const idMax = 2048;

/** Half a surrogate pair has no UTF-8 form: two ids would become one on disk. */
export function isText(text: string, max: number): boolean {
  return text.length >= 1 && text.length <= max && text.isWellFormed();
}
