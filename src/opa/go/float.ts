// Tested by test/opa/builtins/printf.long.test.ts.
/** Digits of a number and the position of its point: the value is 0.digits × 10^point. */
interface Digits {
  readonly digits: string;
  readonly point: number;
}

/** A finite double as mantissa × 2^exponent, both exact. */
function partsOf(value: number): { readonly mantissa: bigint; readonly exponent: number; readonly biased: number } {
  const bits = new DataView(new ArrayBuffer(8));
  bits.setFloat64(0, value);
  const raw = bits.getBigUint64(0);
  const biased = Number((raw >> 52n) & 0x7ffn);
  const fraction = raw & 0xf_ffff_ffff_ffffn;
  return biased === 0
    ? { mantissa: fraction, exponent: -1074, biased }
    : { mantissa: fraction | 0x10_0000_0000_0000n, exponent: biased - 1075, biased };
}

/** Every digit that the double's exact value has. */
function exactDigits(magnitude: number): Digits {
  const { mantissa, exponent } = partsOf(magnitude);
  if (mantissa === 0n) return { digits: '', point: 0 };
  if (exponent >= 0) {
    const digits = (mantissa << BigInt(exponent)).toString();
    return { digits: digits.replace(/0+$/, ''), point: digits.length };
  }
  const digits = (mantissa * 5n ** BigInt(-exponent)).toString();
  return { digits: digits.replace(/0+$/, ''), point: digits.length + exponent };
}

/** The fewest digits that read back as the same double; JavaScript and Go choose the same. */
function shortestDigits(magnitude: number): Digits {
  if (magnitude === 0) return { digits: '', point: 0 };
  const [mantissa = '', exponent = '0'] = magnitude.toExponential().split('e');
  return { digits: mantissa.replace('.', ''), point: Number(exponent) + 1 };
}

/** Rounds half to even, which is where `toFixed` and Go part. */
function rounded({ digits, point }: Digits, count: number): Digits {
  if (count < 0) return { digits: '', point: 0 };
  if (count >= digits.length) return { digits, point };
  const rest = digits.slice(count);
  const kept = digits.slice(0, count);
  const half = rest[0] === '5' && /^50*$/.test(rest);
  const up = half ? count > 0 && Number(kept.at(-1)) % 2 === 1 : rest.charCodeAt(0) >= 0x35;
  if (!up) return { digits: kept.replace(/0+$/, ''), point: kept === '' ? 0 : point };
  if (kept === '') return { digits: '1', point: point + 1 };
  const next = (BigInt(kept) + 1n).toString().padStart(count, '0');
  return { digits: next.replace(/0+$/, ''), point: next.length > count ? point + 1 : point };
}

/**
 * Go's `strconv.FormatFloat` for 64 bits.
 *
 * @param precision -1 for as many digits as needed
 */
export function formatFloat(
  value: number,
  format: 'b' | 'e' | 'E' | 'f' | 'g' | 'G' | 'x' | 'X',
  precision: number,
): string {
  const sign = value < 0 || Object.is(value, -0) ? '-' : '';
  const magnitude = Math.abs(value);
  if (magnitude === Infinity) return `${sign === '-' ? '-' : '+'}Inf`;
  switch (format) {
    case 'b':
      return `${sign}${binary(magnitude)}`;
    case 'x':
    case 'X': {
      const text = `${sign}${hexadecimal(magnitude, precision)}`;
      return format === 'X' ? text.toUpperCase() : text;
    }
    default: {
      const text = `${sign}${decimal(magnitude, format.toLowerCase(), precision)}`;
      return format === 'E' || format === 'G' ? text.toUpperCase() : text;
    }
  }
}

function decimal(magnitude: number, format: string, precision: number): string {
  const shortest = precision < 0;
  if (shortest) {
    const found = shortestDigits(magnitude);
    const count = found.digits.length;
    if (format === 'e') return withExponent(found, Math.max(count - 1, 0));
    if (format === 'f') return plain(found, Math.max(count - found.point, 0));
    return general(found, 6, true, 6);
  }
  const exact = exactDigits(magnitude);
  if (format === 'e') return withExponent(rounded(exact, precision + 1), precision);
  if (format === 'f') return plain(rounded(exact, exact.point + precision), precision);
  const wanted = precision === 0 ? 1 : precision;
  return general(rounded(exact, wanted), wanted, false, wanted);
}

function general(found: Digits, precision: number, shortest: boolean, wanted: number): string {
  const { digits, point } = found;
  let threshold = precision;
  if (threshold > digits.length && digits.length >= point) threshold = digits.length;
  if (shortest) threshold = 6;
  const exponent = point - 1;
  if (exponent < -4 || exponent >= threshold) {
    const count = shortest || wanted > digits.length ? digits.length : wanted;
    return withExponent(found, Math.max(count - 1, 0));
  }
  return plain(found, Math.max(digits.length - point, 0));
}

function withExponent({ digits, point }: Digits, precision: number): string {
  const first = digits[0] ?? '0';
  const rest = digits.slice(1, precision + 1).padEnd(precision, '0');
  const exponent = digits === '' ? 0 : point - 1;
  const size = Math.abs(exponent).toString().padStart(2, '0');
  return `${first}${rest === '' ? '' : `.${rest}`}e${exponent < 0 ? '-' : '+'}${size}`;
}

function plain({ digits, point }: Digits, precision: number): string {
  const whole = point > 0 ? digits.slice(0, point).padEnd(point, '0') : '0';
  if (precision <= 0) return whole;
  const fraction = point > 0 ? digits.slice(point) : '0'.repeat(Math.min(-point, precision)) + digits;
  return `${whole}.${fraction.slice(0, precision).padEnd(precision, '0')}`;
}

function binary(magnitude: number): string {
  const { mantissa, exponent } = partsOf(magnitude);
  return `${mantissa}p${exponent < 0 ? '' : '+'}${exponent}`;
}

function hexadecimal(magnitude: number, precision: number): string {
  if (magnitude === 0) return `0x0${precision > 0 ? `.${'0'.repeat(precision)}` : ''}p+00`;
  let { mantissa, exponent } = partsOf(magnitude);
  while (mantissa < 1n << 52n) {
    mantissa <<= 1n;
    exponent--;
  }
  exponent += 52;
  // 13 hexadecimal digits follow the point; cut to the precision, half to even.
  if (precision >= 0 && precision < 13) {
    const shift = BigInt((13 - precision) * 4);
    const extra = mantissa & ((1n << shift) - 1n);
    mantissa >>= shift;
    const half = 1n << (shift - 1n);
    if (extra > half || (extra === half && (mantissa & 1n) === 1n)) mantissa++;
    mantissa <<= shift;
    if (mantissa >> 53n) {
      mantissa >>= 1n;
      exponent++;
    }
  }
  let fraction = (mantissa & ((1n << 52n) - 1n)).toString(16).padStart(13, '0');
  fraction = precision < 0 ? fraction.replace(/0+$/, '') : fraction.slice(0, precision).padEnd(precision, '0');
  const size = Math.abs(exponent).toString().padStart(2, '0');
  return `0x1${fraction === '' ? '' : `.${fraction}`}p${exponent < 0 ? '-' : '+'}${size}`;
}
