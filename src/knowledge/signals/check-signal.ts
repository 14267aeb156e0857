// Tested by test/knowledge/signals/host/host.test.ts.
import { ControlRefused } from '../../domain/errors.ts';
import { isJsonObject, type JsonValue } from '../../domain/json-value.ts';
import type { Signal } from '../../domain/signal.ts';
import { parseRfc3339 } from '../../domain/time.ts';
import { idMax, isText } from '../check-text.ts';

const attributeNameMax = 128;
const attributesMax = 256;
const valueBytesMax = 16 * 1024;

interface Form {
  readonly wants: string;
  fits(value: JsonValue): boolean;
}

const boolean: Form = { wants: 'must be true or false', fits: (value) => typeof value === 'boolean' };
const count: Form = {
  wants: 'must be a whole number from 0',
  fits: (value) => typeof value === 'number' && Number.isSafeInteger(value) && value >= 0,
};

/** Attributes that mean something to the sidecar or the library have one type, and nothing is turned into it. */
const known: ReadonlyMap<string, Form> = new Map([
  ['compliant', boolean],
  ['secure_boot', boolean],
  ['disk_encrypted', boolean],
  ['managed', boolean],
  ['jailbroken', boolean],
  ['reboot_required', boolean],
  ['revoked', boolean],
  ['credential_compromised', boolean],
  ['identity_disabled', boolean],
  [
    'risk_level',
    {
      wants: 'must be "low", "medium" or "high"',
      fits: (value) => ['low', 'medium', 'high'].includes(String(value)) && typeof value === 'string',
    },
  ],
  [
    'risk_score',
    {
      wants: 'must be a number from 0 to 100',
      fits: (value) => typeof value === 'number' && value >= 0 && value <= 100,
    },
  ],
  ['pending_security_updates', count],
  ['boot_time', count],
  [
    'credential_changed_at',
    {
      wants: 'must be an RFC 3339 time',
      fits: (value) => typeof value === 'string' && parseRfc3339(value) !== undefined,
    },
  ],
  ['assurance', { wants: 'must be an object', fits: (value) => isJsonObject(value) }],
]);

/**
 * Checks what its type does not say.
 *
 * @param where which of several it is, as the refusal names it, e.g. `[3].`; empty for one alone
 * @throws ControlRefused `signal_invalid`, naming the member
 */
export function checkSignal(signal: Signal, where: string): void {
  const refuse = (member: string, wants: string): never => {
    throw new ControlRefused('signal_invalid', 400, `${where}${member} ${wants}`);
  };
  const { about, attributes, observedAt, expiresAt, source, sequence } = signal;
  if (!isText(about.id, idMax)) refuse('about.id', `must be text of 1 to ${idMax} characters`);
  if (!/^[\u0021-\u007e]{1,128}$/.test(source)) refuse('source', 'must be 1 to 128 visible ASCII characters');
  if (!Number.isSafeInteger(sequence) || sequence < 0) refuse('sequence', 'must be a whole number from 0');
  if (expiresAt !== undefined && expiresAt <= observedAt) refuse('expires_at', 'must be after observed_at');
  const names = Object.keys(attributes);
  if (names.length === 0 || names.length > attributesMax)
    refuse('attributes', `must hold 1 to ${attributesMax} members`);
  for (const name of names) {
    const shown = `attributes.${name.length > 64 ? `${name.slice(0, 64)}…` : name}`;
    if (!isText(name, attributeNameMax))
      refuse('attributes', `has a name that is not of 1 to ${attributeNameMax} characters`);
    const value: JsonValue = attributes[name] ?? null;
    // A null says nothing, and Rego orders it before every number: what is not known is left out.
    if (value === null) refuse(shown, 'is null; leave out what is not known');
    const form = known.get(name);
    if (form !== undefined && !form.fits(value)) refuse(shown, form.wants);
    if (Buffer.byteLength(JSON.stringify(value)) > valueBytesMax)
      refuse(shown, `is larger than ${valueBytesMax} bytes`);
  }
}
