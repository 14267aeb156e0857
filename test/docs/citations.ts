/** The comments of a file on one line, since a sentence goes on in the next; undefined for a file without comments. */
export function commentsOf(name: string, text: string): string | undefined {
  if (/\.(?:ts|mjs|js)$/.test(name)) return joined(text, slashed);
  if (/\.(?:rego|ya?ml)$|^[^.]+$/.test(name)) return joined(text, hashed);
  return undefined;
}

/** A line of a block comment, or the text behind `//`; the `//` of a URL has no blank before it. */
const slashed = /^\s*(?:\/\*+|\*(?!\/))(.*)$|(?:^|\s)\/\/(.*)$/;
const hashed = /(?:^|\s)#(.*)$/;

function joined(text: string, comment: RegExp): string {
  return text
    .split('\n')
    .flatMap((line) => comment.exec(line)?.slice(1) ?? [])
    .map((words) => words?.trim() ?? '')
    .filter((words) => words !== '')
    .join(' ');
}

/** A page without its fenced blocks: these show files that the reader makes. */
export function proseOf(page: string): string {
  return page.replaceAll(/^(`{3,}).*\n[\s\S]*?\n\1$/gm, '');
}

/** A path from the root of the repository; `*` and `…` stand for any part of a name. */
const path = /(?<![\w/.@-])(?:src|docs|test|bench|deploy|rego|bundles|\.ci)\/[\w./*…-]*/g;
/** A file by its name, or by the end of its path. */
const file = /(?<![\w/.@*-])(?:\.{1,2}\/)*[\w-][\w./-]*\.(?:ts|md|rego)\b/g;
/** Documents outside of the repository that have been cited before. */
const elsewhere = /\bdesign,? section\b|\bsections? \d+ of the design\b|(?<![\w/.-])(?:\.\.\/)*shared\/\S*/gi;
const target = /(?<=`)make [a-z-]+(?=[ `])/g;

/** Every place of the repository that a text sends its reader to. */
export function citationsOf(text: string): readonly string[] {
  const found = [path, file, elsewhere, target].flatMap((kind) => [...text.matchAll(kind)]);
  return [...new Set(found.map(([words]) => words.replace(/[.,…]+$/, '')))];
}

/**
 * @param paths files and folders from the root, and `make` targets as `make test`
 * @returns whether a citation leads to one of them
 */
export function isThere(citation: string, paths: ReadonlySet<string>): boolean {
  const plain = citation.replace(/^(?:\.{1,2}\/)+/, '').replace(/\/$/, '');
  if (paths.has(plain)) return true;
  if (!/[./]/.test(plain) || /^shared\//i.test(plain)) return false;
  const ending = new RegExp(`(?:^|/)${plain.replaceAll('.', '\\.').replaceAll(/[*…]+/g, '[^/]*')}$`);
  return [...paths].some((one) => ending.test(one));
}
