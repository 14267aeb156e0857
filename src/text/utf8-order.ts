// Tested by test/opa/values/value.test.ts.
/**
 * Compares two strings by code point, which is the order of their UTF-8 bytes and Go's order of strings. JavaScript
 * compares UTF-16 units, which puts surrogates before U+E000.
 *
 * @param charge is told one unit for each 64 code units compared
 */
export function compareStrings(a: string, b: string, charge?: (units: number) => void): number {
  const length = Math.min(a.length, b.length);
  for (let at = 0; at < length; at++) {
    const x = a.charCodeAt(at);
    const y = b.charCodeAt(at);
    if (x !== y) {
      charge?.(at / 64);
      const surrogateX = x >= 0xd800 && x <= 0xdfff;
      return surrogateX === (y >= 0xd800 && y <= 0xdfff) ? (x < y ? -1 : 1) : surrogateX ? 1 : -1;
    }
  }
  charge?.(length / 64);
  return Math.sign(a.length - b.length);
}
