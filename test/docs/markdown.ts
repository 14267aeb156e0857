/** One fenced block of a page. `info` is what stands behind the opening fence: `sh`, `json answer`. */
export interface Block {
  readonly info: string;
  readonly text: string;
  /** Of its opening fence, from 1. */
  readonly line: number;
}

/** @throws Error for a fence that is never closed: all that follows would be taken for code */
export function blocksOf(page: string): readonly Block[] {
  const blocks: Block[] = [];
  let open:
    | { readonly fence: string; readonly info: string; readonly line: number; readonly body: string[] }
    | undefined;
  for (const [index, line] of page.split('\n').entries()) {
    const fence = /^(`{3,})(.*)$/.exec(line);
    if (open === undefined) {
      if (fence?.[1] !== undefined)
        open = { fence: fence[1], info: (fence[2] ?? '').trim(), line: index + 1, body: [] };
    } else if (line === open.fence) {
      blocks.push({ info: open.info, text: open.body.join('\n'), line: open.line });
      open = undefined;
    } else open.body.push(line);
  }
  if (open !== undefined) throw new Error(`line ${open.line}: the fence is never closed`);
  return blocks;
}

/** Links of a page that point into the repository: file and, after `#`, heading. */
export function linksOf(page: string): readonly string[] {
  const prose = page.replaceAll(/^(`{3,}).*\n[\s\S]*?\n\1$/gm, '');
  return [...prose.matchAll(/\]\(([^)\s]+)\)/g)]
    .map(([, target]) => target ?? '')
    .filter((one) => !/^[a-z]+:/.test(one));
}

/** Anchors of a page's headings, as GitHub makes them. */
export function anchorsOf(page: string): readonly string[] {
  return [...page.matchAll(/^#+ (.*)$/gm)].map(([, heading = '']) =>
    heading
      .toLowerCase()
      .replaceAll(/[^\p{L}\p{N} _-]/gu, '')
      .replaceAll(' ', '-'),
  );
}

/**
 * Whether an answer is the one that a page shows. `…` stands for anything: for a whole JSON value where it is the whole
 * text, else for any part of one line.
 */
export function matches(shown: unknown, real: unknown): boolean {
  if (typeof shown === 'string') return shown === '…' || (typeof real === 'string' && glob(shown).test(real));
  if (Array.isArray(shown)) {
    return (
      Array.isArray(real) && real.length === shown.length && shown.every((one, index) => matches(one, real[index]))
    );
  }
  if (typeof shown === 'object' && shown !== null) {
    if (typeof real !== 'object' || real === null || Array.isArray(real)) return false;
    const [shownMembers, realMembers] = [new Map(Object.entries(shown)), new Map(Object.entries(real))];
    return (
      shownMembers.size === realMembers.size &&
      [...shownMembers].every(([name, value]) => realMembers.has(name) && matches(value, realMembers.get(name)))
    );
  }
  return shown === real;
}

/**
 * @param kind `json`: one JSON value; `text`: lines, blanks at their ends left aside, where a line that is `…` alone
 * stands for any number of lines
 */
export function shows(kind: string, shown: string, real: string): boolean {
  if (kind === 'json') return matches(JSON.parse(shown), JSON.parse(real));
  const lines = (text: string) =>
    text
      .trim()
      .split('\n')
      .map((line) => line.trimEnd());
  const pattern = lines(shown)
    .map((line) => (line === '…' ? '(?:.*\n)*?' : `${globText(line)}\n`))
    .join('');
  return new RegExp(`^${pattern}$`).test(`${lines(real).join('\n')}\n`);
}

function glob(text: string): RegExp {
  return new RegExp(`^${globText(text)}$`);
}

function globText(text: string): string {
  return text
    .split('…')
    .map((part) => part.replaceAll(/[\\^$.*+?()[\]{}|]/g, '\\$&'))
    .join('.*');
}
