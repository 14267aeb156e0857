// Tested by test/opa/builtins/identifiers.test.ts.
/**
 * Go's `base64.StdEncoding` or `URLEncoding`: padding is needed, line breaks are skipped.
 *
 * @returns undefined for what is not of the alphabet or cut short
 */
export function decodeBase64(text: string, alphabet: 'std' | 'url'): Buffer | undefined {
  const plain = text.replace(/[\r\n]/g, '');
  const pattern = alphabet === 'std' ? /^[A-Za-z0-9+/]*={0,2}$/ : /^[A-Za-z0-9\-_]*={0,2}$/;
  if (plain.length % 4 !== 0 || !pattern.test(plain)) return undefined;
  return Buffer.from(plain, 'base64');
}

/** OPA's `base64url.decode`: padding may be left out. */
export function decodeBase64Url(text: string): Buffer | undefined {
  const missing = text.endsWith('=') ? 0 : [0, undefined, 2, 1][text.length % 4];
  return missing === undefined ? undefined : decodeBase64(text + '='.repeat(missing), 'url');
}
