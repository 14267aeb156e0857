// Tested by test/bundle/reading/read-archive.long.test.ts.
/**
 * The code of an error that Node or the operating system raised, e.g. `ENOENT`, `ERR_BUFFER_TOO_LARGE`.
 *
 * @returns undefined for what carries no such code
 */
export function osErrorCode(cause: unknown): string | undefined {
  if (typeof cause !== 'object' || cause === null || !('code' in cause)) return undefined;
  return typeof cause.code === 'string' ? cause.code : undefined;
}
