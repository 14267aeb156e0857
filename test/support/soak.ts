/**
 * How many rounds a test goes that shows more the longer it goes. `make test` goes the few that find a plain mistake,
 * `SOAK=1` the many that find a rare one; the count is printed with the test's own figures.
 */
export function rounds(usual: number, soak: number): number {
  return process.env['SOAK'] === '1' ? soak : usual;
}
