import { Writable } from 'node:stream';
import winston from 'winston';
import type { JsonObject, JsonValue } from '../domain/json-value.ts';
import type { Log } from '../domain/ports.ts';
import { type Clock, rfc3339Of } from '../domain/time.ts';
import { printable } from '../text/printable.ts';
import { loggableFields, redactText } from './loggable.ts';

export const logLevels = ['error', 'warn', 'info', 'debug'] as const;
export type LogLevel = (typeof logLevels)[number];

export interface LogOptions {
  readonly level: LogLevel;
  readonly format: 'json' | 'text';
  readonly clock: Pick<Clock, 'now'>;
  /** Takes one line, without its end, and never waits; false: the line was dropped. `lineSink` makes one. */
  readonly write: (line: string) => boolean;
}

export interface OperationalLog extends Log {
  /** Lines that the output did not take, since the start. */
  dropped(): number;
}

/** One event. Everything from elsewhere is under `fields`, so that it cannot forge a key of ours. */
interface Line {
  readonly level: LogLevel;
  readonly message: string;
  readonly time: string;
  readonly fields?: JsonObject;
}

/**
 * The operational log, on winston: one event, one line. It never throws, never waits, and holds no secrets that are
 * known by name or looks. What it could not write it counts, and tells in the next line that gets through.
 */
export function createLog(options: LogOptions): OperationalLog {
  let dropped = 0;
  let untold = 0;
  const drop = () => {
    dropped += 1;
    untold += 1;
  };
  const asText = options.format === 'json' ? jsonLine : textLine;
  const output = new Writable({
    decodeStrings: false,
    write(chunk: unknown, _encoding, done) {
      if (!options.write(String(chunk))) drop();
      done();
    },
  });
  const logger = winston.createLogger({
    levels: { error: 0, warn: 1, info: 2, debug: 3 },
    level: options.level,
    // winston hands a fresh object to the format and takes the line itself from its symbol for the message; printf sets
    // that. The lines' shape is ours: winston's json() would let metadata overwrite level and message.
    format: winston.format.printf((info) => asText(info as unknown as Line)),
    transports: [new winston.transports.Stream({ stream: output, eol: '' })],
    exitOnError: false,
  });

  const emit = (level: LogLevel, message: string, fields: JsonObject | undefined) => {
    const line: Line = {
      level,
      message: redactText(message),
      time: rfc3339Of(options.clock.now()),
      ...(fields === undefined ? {} : { fields }),
    };
    // As one object: given message and metadata apart, winston glues a metadata member called `message` to the message.
    logger.log(line);
  };

  const log = (level: LogLevel, message: string, fields?: Readonly<Record<string, unknown>>) => {
    if (!logger.isLevelEnabled(level)) return;
    try {
      if (untold > 0) {
        const [droppedBefore, count] = [dropped, untold];
        emit('warn', 'log lines were dropped', { count });
        untold = dropped === droppedBefore ? 0 : count;
        // A dropped line of this kind is not counted itself: the next one reports its count again.
        dropped = droppedBefore;
      }
      emit(level, message, fields === undefined ? undefined : readable(fields, level === 'error'));
    } catch {
      // A clock out of range, an output that throws: whatever it is, no decision may fail because of a log line.
      drop();
    }
  };

  return {
    error: (message, fields) => log('error', message, fields),
    warn: (message, fields) => log('warn', message, fields),
    info: (message, fields) => log('info', message, fields),
    debug: (message, fields) => log('debug', message, fields),
    dropped: () => dropped,
  };
}

function readable(fields: Readonly<Record<string, unknown>>, stacks: boolean): JsonObject {
  try {
    return loggableFields(fields, stacks);
  } catch {
    // A getter or proxy among them throws. The event still happened, and says that it lacks its fields.
    return { unreadable: true };
  }
}

function escaped(value: JsonValue): string {
  return printable(JSON.stringify(value));
}

function jsonLine({ time, level, message, fields }: Line): string {
  return escaped({ time, level, message, ...(fields === undefined ? {} : { fields }) });
}

function textLine({ time, level, message, fields }: Line): string {
  const named = Object.entries(fields ?? {}).map(([name, value]) => ` ${bare(name)}=${bare(value)}`);
  return `${time} ${level.padEnd(5)} ${escaped(message).slice(1, -1).replaceAll('\\"', '"')}${named.join('')}`;
}

/** Plain words are written without quotes, everything else as JSON, so that a value cannot pass for another field. */
function bare(value: JsonValue): string {
  return typeof value === 'string' && /^[A-Za-z0-9_.:/@+-]+$/.test(value) ? value : escaped(value);
}
