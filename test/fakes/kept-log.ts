import type { Log } from '../../src/domain/ports.ts';

export interface KeptLine {
  readonly level: 'debug' | 'info' | 'warn' | 'error';
  readonly message: string;
  readonly fields: Readonly<Record<string, unknown>>;
}

/** Keeps what it is told, in order. */
export class KeptLog implements Log {
  readonly lines: KeptLine[] = [];

  debug(message: string, fields: Readonly<Record<string, unknown>> = {}): void {
    this.lines.push({ level: 'debug', message, fields });
  }

  info(message: string, fields: Readonly<Record<string, unknown>> = {}): void {
    this.lines.push({ level: 'info', message, fields });
  }

  warn(message: string, fields: Readonly<Record<string, unknown>> = {}): void {
    this.lines.push({ level: 'warn', message, fields });
  }

  error(message: string, fields: Readonly<Record<string, unknown>> = {}): void {
    this.lines.push({ level: 'error', message, fields });
  }

  /** Messages of one level. */
  of(level: KeptLine['level']): readonly string[] {
    return this.lines.filter((line) => line.level === level).map(({ message }) => message);
  }

  /** Everything in it as text, causes and stacks too, to look for what must not be there. */
  text(): string {
    return this.lines
      .map(({ level, message, fields }) => `${level} ${message} ${Object.values(fields).map(asText).join(' ')}`)
      .join('\n');
  }
}

function asText(value: unknown): string {
  if (!(value instanceof Error)) return JSON.stringify(value) ?? '';
  return `${value.stack ?? value.message} ${value.cause === undefined ? '' : asText(value.cause)}`;
}
