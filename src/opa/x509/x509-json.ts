// Tested by test/opa/builtins/x509-certificates.test.ts.
import { BuiltinError } from '../values/builtin.ts';
import { integer } from '../values/operands.ts';
import type { Value } from '../values/value.ts';
import type { Instant } from './text.ts';

// How Go's encoding/json writes what certificates are made of: a slice that nothing was ever added to is null.

export function base64(bytes: Uint8Array | undefined): Value {
  return bytes === undefined ? null : Buffer.from(bytes).toString('base64');
}

export function texts(list: readonly string[] | undefined): Value {
  return list === undefined || list.length === 0 ? null : [...list];
}

export function listed<T>(list: readonly T[], make: (item: T) => Value): Value {
  return list.length === 0 ? null : list.map(make);
}

export function oidValue(oid: readonly number[]): Value {
  return oid.map(integer);
}

/** A value that was read but cannot be written. */
export class NoJson extends BuiltinError {}

/** @throws NoJson where its offset is a day, which RFC 3339 does not have */
export function timeValue({ text }: Instant): Value {
  if (/[+-]24:00$/.test(text)) throw new NoJson('timezone hour outside of range [0,23]');
  return text;
}
