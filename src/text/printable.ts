// Tested by test/cli/check-config.test.ts.
/**
 * Characters that end a line for some readers (U+0085, U+2028, U+2029), control a terminal (C0, DEL, C1) or change what
 * people see (zero-width and bidirectional characters, U+FEFF). JSON.stringify escapes the C0 controls alone.
 */
// biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what is looked for
const disruptive = /[\u0000-\u001f\u007f-\u009f\u061c\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff]/g;

/**
 * Makes foreign text safe to show to a person or to put on one line of a log: disruptive characters become `\u001b` and
 * the like. In JSON text, where such characters occur inside strings only, the meaning stays the same.
 */
export function printable(text: string): string {
  return text.replace(disruptive, (unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, '0')}`);
}
