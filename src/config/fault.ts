// Tested by test/config/schema.test.ts.
/** One thing wrong, and where: a path such as `decision.limits.body_bytes`, empty for the file as a whole. */
export interface Fault {
  readonly at: string;
  readonly text: string;
}

export function below(at: string, key: string | number): string {
  if (typeof key === 'number') return `${at}[${key}]`;
  const name = /^[A-Za-z0-9_.-]{1,64}$/.test(key) ? key : shown(key);
  return at === '' ? name : `${at}.${name}`;
}

/** A value in a message: one line, printable ASCII, short. */
export function shown(value: unknown): string {
  const text = typeof value === 'string' ? JSON.stringify(value) : String(value);
  const plain = text.replace(/[^\u0020-\u007e]/g, (unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, '0')}`);
  return plain.length <= 60 ? plain : `${plain.slice(0, 57)}…`;
}
