import { styleText } from 'node:util';
import type { Answer, Question } from './pep/answer.ts';

const colours = { allow: 'green', constrain: 'cyan', step_up: 'yellow', deny: 'red' } as const;
type Effect = keyof typeof colours;

export interface Expected {
  readonly effect: Effect;
  /** Codes that have to be among the reasons. */
  readonly codes?: readonly string[];
}

/** Tells what happens, and keeps count of what was expected and what came. */
export class Play {
  readonly effectsSeen = new Set<string>();
  /** Ids of all decisions of this run, for the auditor to look for. */
  readonly decisionIds: string[] = [];
  casesAsExpected = 0;
  readonly #write: (text: string) => void;
  readonly #colour: boolean;
  #faults = 0;

  constructor(write: (text: string) => void, colour: boolean) {
    this.#write = write;
    this.#colour = colour;
  }

  async case(number: number, title: string, run: () => Promise<void>): Promise<void> {
    this.#faults = 0;
    this.#write(`\n${this.#style('bold', `${number}  ${title}`)}\n`);
    try {
      await run();
    } catch (cause) {
      this.#faults += 1;
      this.#line('✗', 'red', cause instanceof Error ? cause.message : String(cause));
    }
    if (this.#faults === 0) this.casesAsExpected += 1;
  }

  /** What happened in the world before the next question. */
  tell(text: string): void {
    this.#write(`\n   ${this.#style('dim', text)}\n`);
  }

  /** One question, its answer, and whether that is the one that was expected. */
  answered({ subject, action, resource, context }: Question, answer: Answer, expected: Expected): void {
    this.effectsSeen.add(answer.effect);
    if (answer.decisionId !== undefined) this.decisionIds.push(answer.decisionId);
    const about = Object.entries(context ?? {}).map(([name, value]) => `${name} ${value}`);
    this.#write(
      `   ? ${shortId(subject.id)}  ${action.name}  ${resource.type} ${shortId(resource.id)}` +
        `${about.length > 0 ? `  (${about.join(', ')})` : ''}\n`,
    );
    const colour = colours[answer.effect as Effect] ?? 'red';
    this.#write(`   = ${this.#style(colour, answer.effect)}${boundsOf(answer)}\n`);
    for (const { code, remedy } of answer.reasons) {
      this.#write(`       ${code}${remedy === undefined ? '' : this.#style('dim', `: ${remedy}`)}\n`);
    }
    const codes = answer.reasons.map(({ code }) => code);
    const missing = (expected.codes ?? []).filter((code) => !codes.includes(code));
    if (answer.effect !== expected.effect || missing.length > 0) {
      this.#faults += 1;
      this.#line('✗', 'red', `expected ${[expected.effect, ...missing].join(', ')}`);
    }
  }

  /** Something that has to be true now. */
  expect(text: string, holds: boolean): void {
    if (!holds) this.#faults += 1;
    this.#line(holds ? '✓' : '✗', holds ? 'green' : 'red', text);
  }

  show(text: string): void {
    for (const line of text.split('\n')) this.#write(`       ${line}\n`);
  }

  verdict(text: string): void {
    this.#write(`\n${text}\n`);
  }

  #line(mark: string, colour: 'green' | 'red', text: string): void {
    this.#write(`   ${this.#style(colour, mark)} ${text}\n`);
  }

  #style(format: Parameters<typeof styleText>[0], text: string): string {
    return this.#colour ? styleText(format, text, { validateStream: false }) : text;
  }
}

export function shortId(id: string): string {
  return id.replace(/^spiffe:\/\/acme\.example\//, '');
}

function boundsOf(answer: Answer): string {
  if (answer.acrValues !== undefined) return `  acr_values ${answer.acrValues}`;
  const names = Object.entries(answer.constraints).map(([name, value]) => `${name} ${JSON.stringify(value)}`);
  return names.length === 0 ? '' : `  ${names.join(', ')}`;
}
