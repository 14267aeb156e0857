/** In microseconds, a little above what was measured (two cores of 2026): of an instruction, and of a class of Unicode's. */
const perInstruction = 3;
const perUnicodeClass = 50;
/** Without regard to case, every character of a range is looked up for its other forms. */
const perFoldedClass = 300;
const perFoldedRange = 2_500;

/**
 * What compiling a pattern will take, in microseconds: the engine cannot be interrupted in it, and `(a{1000}){9}` is
 * nine thousand instructions. Errs on the high side; a pattern that is none is not told from one that is.
 */
export function compileUs(source: string): number {
  const folds = /\(\?[a-zA-Z]*i/.test(source);
  const outer: number[] = [];
  let sum = 0;
  /** Of the atom that a repetition behind it would repeat. */
  let last = 0;
  const token =
    /\\[pP](?:\{[^}]*\}|.)|\\x\{[^}]*\}|\\[\s\S]|\{(\d{1,4})(?:,(\d{0,4}))?\}|\[\^?\]?(?:\[:[^\]]*:\]|\\[\s\S]|[^\]\\])*\]|[\s\S]/gu;
  for (const [text, least, most] of source.matchAll(token)) {
    if (least !== undefined) {
      const times = Math.max(Number(least), Number(most ?? 0), 1);
      sum += last * (times - 1);
      last *= times;
    } else if (text === '(') {
      outer.push(sum);
      sum = 0;
      last = 0;
    } else if (text === ')') {
      last = sum + perInstruction;
      sum = (outer.pop() ?? 0) + last;
    } else {
      last = perInstruction + classesUs(text, folds);
      sum += last;
    }
  }
  return outer.reduce((total, group) => total + group, sum);
}

/** Of an escape, a class, or a character. */
function classesUs(text: string, folds: boolean): number {
  if (text.length === 1) return 0;
  const unicode = text.match(/\\[pP]/g)?.length ?? 0;
  if (!folds) return unicode * perUnicodeClass;
  const wide = text.startsWith('[') ? (text.match(/-\\x\{|-[^\0-\x7f]/g)?.length ?? 0) : 0;
  return unicode * perFoldedClass + wide * perFoldedRange;
}
