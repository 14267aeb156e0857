// Tested by test/text/parse-exact.test.ts.
/**
 * Numbers as OPA has them: decimal text of any length, compared and taken apart exactly. A JavaScript number would
 * round what lies past 2^53 and forget how a fraction was written.
 */
export interface Decimal {
  readonly negative: boolean;
  /** Without leading or trailing zeros; empty for zero. */
  readonly digits: string;
  /** The value is 0.digits × 10^exponent. */
  readonly exponent: number;
}

const shortInteger = /^-?(?:0|[1-9]\d{0,14})$/;
const decimalText = /^([+-]?)(\d*)(?:\.(\d*))?(?:[eE]([+-]?\d+))?$/;

export function decimalOf(text: string): Decimal {
  const match = decimalText.exec(text);
  if (match === null) throw new RangeError('not a decimal number');
  const [, sign, whole = '', fraction = '', exponent = '0'] = match;
  const all = whole + fraction;
  let start = 0;
  while (start < all.length && all.charCodeAt(start) === 0x30) start++;
  let end = all.length;
  while (end > start && all.charCodeAt(end - 1) === 0x30) end--;
  const digits = all.slice(start, end);
  return {
    negative: sign === '-' && digits !== '',
    digits,
    exponent: digits === '' ? 0 : whole.length - start + Number(exponent),
  };
}

/** One text for each value, whatever way it was written: `1`, `1.0` and `10e-1` have the same. */
export function canonicalOf(text: string): string {
  if (shortInteger.test(text)) {
    if (text === '-0') return '0';
    if (!text.endsWith('0') || text === '0') return text;
  }
  const { negative, digits, exponent } = decimalOf(text);
  if (digits === '') return '0';
  if (exponent === digits.length) return `${negative ? '-' : ''}${digits}`;
  return `${negative ? '-' : ''}.${digits}e${exponent}`;
}

export function compareDecimals(a: string, b: string): number {
  if (shortInteger.test(a) && shortInteger.test(b)) return Math.sign(Number(a) - Number(b));
  const x = decimalOf(a);
  const y = decimalOf(b);
  if (x.digits === '' || y.digits === '' || x.negative !== y.negative)
    return sign(x) - sign(y) < 0 ? -1 : +(sign(x) !== sign(y));
  const size = x.exponent === y.exponent ? compareText(x.digits, y.digits) : Math.sign(x.exponent - y.exponent);
  return x.negative ? -size || 0 : size;
}

// 2^100000 and 2^-100001, each by the half of what its last of 64 binary digits counts for smaller: what rounds to them.
const tooLarge = '.999002093014384507916954758340e30103';
const smallest = '.500499451899347083394566291769e-30103';

/** OPA takes no number that is too large or too near to zero. */
export function isNumberToOpa(text: string): boolean {
  const size = text.replace(/^-/, '');
  if (compareDecimals(size, tooLarge) >= 0) return false;
  return compareDecimals(size, smallest) >= 0 || decimalOf(size).digits === '';
}

function sign({ digits, negative }: Decimal): number {
  if (digits === '') return 0;
  return negative ? -1 : 1;
}

function compareText(a: string, b: string): number {
  if (a === b) return 0;
  return a < b ? -1 : 1;
}

/**
 * The exact integer, for one written with a fraction or an exponent too.
 *
 * @param digitsMax what lies past it counts as no integer: `1e1000000000` is a short text and no short number
 * @returns undefined for what has a fraction
 */
export function integerOf(text: string, digitsMax = 100_000): bigint | undefined {
  if (/^-?\d+$/.test(text)) return text.length <= digitsMax ? BigInt(text) : undefined;
  const { negative, digits, exponent } = decimalOf(text);
  if (digits === '') return 0n;
  if (exponent < digits.length || exponent > digitsMax) return undefined;
  const value = BigInt(digits.padEnd(exponent, '0'));
  return negative ? -value : value;
}
