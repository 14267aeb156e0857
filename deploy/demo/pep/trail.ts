import { readFile } from 'node:fs/promises';
import { type Answer, type Ask, isObject, type Question } from './answer.ts';
import { type Able, isTrue, limit, permission } from './permission.ts';

interface TrailConstraints {
  readonly read_only: true;
  readonly max_rows: number;
  readonly masked_pointers: readonly string[];
}

const able: Able<TrailConstraints> = {
  read_only: isTrue,
  max_rows: limit,
  masked_pointers: (value) =>
    Array.isArray(value) && value.every((one) => typeof one === 'string' && one.startsWith('/')) ? value : undefined,
};

export type Event = Readonly<Record<string, unknown>>;
export type TrailOutcome =
  | { readonly events: readonly Event[]; readonly masked: readonly string[] }
  | { readonly refused: string };

/** Stands in front of a decision record: gives out its newest lines, with what callers wrote masked. */
export class TrailPep {
  readonly #ask: Ask;
  readonly #file: string;

  constructor(ask: Ask, file: string) {
    this.#ask = ask;
    this.#file = file;
  }

  async read(question: Question): Promise<{ readonly answer: Answer; readonly outcome: TrailOutcome }> {
    const answer = await this.#ask(question);
    const allowed = permission<TrailConstraints>(answer, able);
    if (!allowed.permitted) return { answer, outcome: { refused: allowed.because } };
    const { max_rows: maxRows, masked_pointers: masked = [] } = allowed.constraints;
    const lines = (await readFile(this.#file, 'utf8')).split('\n').filter((line) => line !== '');
    const events = lines.slice(maxRows === undefined ? 0 : -maxRows).map((line) => {
      const event: unknown = JSON.parse(line);
      if (!isObject(event)) throw new Error('a line of the record is no object');
      for (const pointer of masked) erase(event, pointer);
      return event;
    });
    return { answer, outcome: { events, masked } };
  }
}

/** Takes out what a JSON Pointer (RFC 6901) names, and says so in `erased`, as OPA's own masking does. */
function erase(event: Record<string, unknown>, pointer: string): void {
  const steps = pointer
    .slice(1)
    .split('/')
    .map((step) => step.replaceAll('~1', '/').replaceAll('~0', '~'));
  const last = steps.pop() ?? '';
  let parent: unknown = event;
  for (const step of steps) parent = isObject(parent) && Object.hasOwn(parent, step) ? parent[step] : undefined;
  if (!isObject(parent) || !Object.hasOwn(parent, last)) return;
  delete parent[last];
  event['erased'] = [...(Array.isArray(event['erased']) ? event['erased'] : []), pointer];
}
