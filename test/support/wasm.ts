/** A WebAssembly module as its sections, so that a test can put in what no compiler writes. */
export interface Section {
  readonly id: number;
  readonly bytes: readonly number[];
}

export const sectionIds = {
  type: 1,
  import: 2,
  function: 3,
  table: 4,
  memory: 5,
  global: 6,
  export: 7,
  start: 8,
  code: 10,
  data: 11,
} as const;

export function sectionsOf(wasm: Uint8Array): Section[] {
  const sections: Section[] = [];
  for (let at = 8; at < wasm.length; ) {
    const id = wasm[at] ?? 0;
    const [length, start] = readLeb(wasm, at + 1);
    sections.push({ id, bytes: [...wasm.subarray(start, start + length)] });
    at = start + length;
  }
  return sections;
}

export function moduleOf(sections: readonly Section[]): Uint8Array {
  const bytes = [0x00, 0x61, 0x73, 0x6d, 0x01, 0x00, 0x00, 0x00];
  for (const { id, bytes: content } of sections) {
    bytes.push(id, ...leb(content.length));
    for (const byte of content) bytes.push(byte);
  }
  return Uint8Array.from(bytes);
}

/** The sections with one of them changed, or left out. */
export function changed(
  sections: readonly Section[],
  id: number,
  change: (bytes: readonly number[]) => readonly number[] | undefined,
): Section[] {
  return sections.flatMap((section) => {
    if (section.id !== id) return [section];
    const bytes = change(section.bytes);
    return bytes === undefined ? [] : [{ id, bytes }];
  });
}

/** A vector section with one element more; also gives the new element's index. */
export function withElement(
  section: readonly number[],
  element: readonly number[],
): { bytes: number[]; index: number } {
  const [count, start] = readLeb(section, 0);
  return { bytes: [...leb(count + 1), ...section.slice(start), ...element], index: count };
}

/** How many functions the module imports: its own are numbered behind them. */
export function importedFunctions(section: readonly number[]): number {
  let functions = 0;
  let [count, at] = readLeb(section, 0);
  for (; count > 0; count -= 1) {
    for (let name = 0; name < 2; name += 1) {
      const [length, start] = readLeb(section, at);
      at = start + length;
    }
    const kind = section[at];
    at += 1;
    if (kind === 0) {
      functions += 1;
      [, at] = readLeb(section, at);
    } else if (kind === 2) {
      const flags = section[at] ?? 0;
      [, at] = readLeb(section, at + 1);
      if (flags === 1) [, at] = readLeb(section, at);
    } else throw new Error(`import of kind ${kind}`);
  }
  return functions;
}

export function text(value: string): readonly number[] {
  return [...leb(value.length), ...Buffer.from(value, 'latin1')];
}

export function leb(value: number): number[] {
  const bytes: number[] = [];
  let rest = value;
  do {
    const low = rest % 128;
    rest = Math.floor(rest / 128);
    bytes.push(rest > 0 ? low | 0x80 : low);
  } while (rest > 0);
  return bytes;
}

function readLeb(bytes: ArrayLike<number>, from: number): [value: number, next: number] {
  let value = 0;
  for (let at = from, shift = 0; ; at += 1, shift += 7) {
    const byte = bytes[at] ?? 0;
    value += (byte & 0x7f) * 2 ** shift;
    if (byte < 0x80) return [value, at + 1];
  }
}
