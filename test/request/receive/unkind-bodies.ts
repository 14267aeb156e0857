const size = 1_000_000;

/** An object of about a megabyte whose members are named so. */
export function keys(name: (index: number) => string): string {
  const members: string[] = [];
  for (let length = 0, index = 0; length < size; index += 1) {
    const made = `"${name(index)}":0`;
    members.push(made);
    length += made.length + 1;
  }
  return `{${members.join()}}`;
}

/** What such a body usually holds: a few members each, with some text in them. */
export const plainBody = `{${Array.from({ length: size / 50 }, (_, index) => `"member${index}":{"index":${index},"text":"some text"}`).join()}}`;

/** Bodies of a megabyte, each large in a way that could cost a reader more than its size. */
export const unkindBodies: Readonly<Record<string, string>> = {
  'one string': JSON.stringify('x'.repeat(size)),
  'one string of escapes': `"${'\\u0041'.repeat(size / 6)}"`,
  'members without end': keys((index) => `k${index}`),
  'members that look like indexes': keys((index) => String(index)),
  'members that look like large indexes': keys((index) => String(4_294_967_295 + index * 65_536)),
  'members whose names are escaped': keys((index) => `\\u0061${index}`),
  numbers: `[${'1,'.repeat(size / 2)}1]`,
  'long numbers': `[${`1${'0'.repeat(99)},`.repeat(size / 101)}1]`,
  'numbers with exponents': `[${'1e1,'.repeat(size / 4)}1]`,
  'objects in objects': `[${`${'{"a":'.repeat(60)}1${'}'.repeat(60)},`.repeat(size / 362)}1]`,
};

/** For growth: each whole, and about half of it. */
export const halves: Readonly<Record<string, readonly [whole: string, half: string]>> = Object.fromEntries(
  [(index: number) => String(index), (index: number) => String(index * 65_536), (index: number) => `.${index}`].map(
    (name) => {
      const whole = keys(name);
      return [name(1), [whole, `${whole.slice(0, whole.indexOf(',', size / 2))}}`]];
    },
  ),
);
