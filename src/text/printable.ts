/**
 * What ends a line for some readers (U+0085, U+2028, U+2029), steers a terminal (C0, DEL, C1) or turns text round for
 * human eyes (zero-width and bidirectional characters, U+FEFF). JSON.stringify escapes the C0 controls alone.
 */
// biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what is looked for
const disruptive = /[\u0000-\u001f\u007f-\u009f\u061c\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff]/g;

/**
 * Somebody else's text as it can be shown to a person or put on one line of a log: what would disrupt either stands as
 * `\u001b` and the like. In JSON text, where such characters stand inside strings only, the meaning stays the same.
 */
export function printable(text: string): string {
  return text.replace(disruptive, (unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, '0')}`);
}
