// Tested by test/knowledge/signals/host/host.test.ts.
import { stat } from 'node:fs/promises';
import { join } from 'node:path';
import type { JsonValue } from '../../../domain/json-value.ts';
import { readWhole } from './read-whole.ts';
import { rootIsEncrypted } from './root-encryption.ts';

/** Attributes by name; one that is not known is not there. */
export type HostFacts = Readonly<Record<string, JsonValue>>;

/** The EFI variable with its attributes in four bytes before the value (Linux efivarfs; UEFI 2.10 section 3.3). */
const secureBootVariable = 'sys/firmware/efi/efivars/SecureBoot-8be4df61-93ca-11d2-aa0d-00e098032b8c';

/**
 * Reads what a Linux machine says of itself, by osquery's names: `os_version`'s columns with their table's name before
 * them, `kernel_version`, `secure_boot`, `disk_encrypted`, times in seconds since 1970. What a file does not say plainly is
 * left out: in a container `/sys/firmware` is masked, and its absence says nothing of secure boot.
 *
 * @param root where the machine's file system is seen: `/`, or where a container mounts it
 */
export async function readHost(root: string): Promise<HostFacts> {
  const text = (path: string): Promise<string | undefined> =>
    read(join(root, path)).then((bytes) => bytes?.toString('utf8'));
  const [release, kernel, stats, bootId, secureBoot, encrypted, updates, reboot] = await Promise.all([
    text('etc/os-release').then((found) => found ?? text('usr/lib/os-release')),
    text('proc/sys/kernel/osrelease'),
    text('proc/stat'),
    text('proc/sys/kernel/random/boot_id'),
    read(join(root, secureBootVariable)),
    rootIsEncrypted(root),
    text('var/lib/update-notifier/updates-available'),
    exists(join(root, 'run/reboot-required')),
  ]);
  return withoutUnknown({
    ...osVersion(release),
    kernel_version: line(kernel),
    boot_time: bootTime(stats),
    boot_id: line(bootId),
    secure_boot: secureBootOf(secureBoot),
    disk_encrypted: encrypted,
    pending_security_updates: securityUpdates(updates),
    // The file means yes; its absence means no, or that the system does not maintain it.
    reboot_required: reboot ? true : undefined,
  });
}

/** @see os-release(5): shell assignments, with shell quoting */
function osVersion(text: string | undefined): Readonly<Record<string, JsonValue | undefined>> {
  if (text === undefined) return {};
  const fields = new Map<string, string>();
  for (const assignment of text.split('\n')) {
    const match = /^([A-Z0-9_]+)=(?:"((?:[^"\\]|\\.)*)"|'([^']*)'|([^\s"'\\]*))\s*$/.exec(assignment);
    if (match === null) continue;
    const [, name = '', inDouble, inSingle, bare = ''] = match;
    fields.set(name, inDouble?.replace(/\\(.)/g, '$1') ?? inSingle ?? bare);
  }
  const version = fields.get('VERSION_ID');
  const [, major, minor] = /^(\d{1,9})(?:\.(\d{1,9}))?(?:\.|$)/.exec(version ?? '') ?? [];
  return {
    os_name: fields.get('NAME'),
    os_version: version,
    os_major: major === undefined ? undefined : Number(major),
    os_minor: minor === undefined ? undefined : Number(minor),
    os_platform: fields.get('ID'),
    os_codename: fields.get('VERSION_CODENAME'),
  };
}

function bootTime(stats: string | undefined): number | undefined {
  const seconds = /^btime (\d{1,12})$/m.exec(stats ?? '')?.[1];
  return seconds === undefined ? undefined : Number(seconds);
}

function secureBootOf(variable: Buffer | undefined): boolean | undefined {
  if (variable?.length !== 5) return undefined;
  const value = variable[4];
  return value === 1 ? true : value === 0 ? false : undefined;
}

/** The text that update-notifier writes for the message of the day, in the C locale. */
function securityUpdates(text: string | undefined): number | undefined {
  if (text === undefined) return undefined;
  const count = /^(\d{1,6}) (?:of these )?updates? (?:is a |are )?(?:standard )?security updates?\.?$/m.exec(text)?.[1];
  if (count !== undefined) return Number(count);
  return /^0 updates can be applied/m.test(text) ? 0 : undefined;
}

function line(text: string | undefined): string | undefined {
  const trimmed = text?.trim();
  return trimmed === '' || trimmed === undefined || trimmed.length > 256 ? undefined : trimmed;
}

/** A file that cannot be read says nothing. */
function read(path: string): Promise<Buffer | undefined> {
  return readWhole(path).catch(() => undefined);
}

async function exists(path: string): Promise<boolean> {
  return stat(path).then(
    () => true,
    () => false,
  );
}

function withoutUnknown(facts: Readonly<Record<string, JsonValue | undefined>>): HostFacts {
  return Object.fromEntries(
    Object.entries(facts).flatMap(([name, value]) => (value === undefined || value === '' ? [] : [[name, value]])),
  );
}
