// Tested by test/process/bundles.long.test.ts.
import { lstat, readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';

/** How often an unchanged directory is looked at. */
const idleMs = 100;
/** A save is over when two looks this far apart see the same: editors and `git checkout` write in several steps. */
const settleMs = 30;

/** The source files of policies, without editors' temporary files and without a bundle that is written there. */
const policyFile = /^(?!\.).*\.(?:rego|json|ya?ml)$|^\.manifest$/;

/**
 * Identifies the state of a directory without reading its files: names, inodes, sizes and times of all the policies and
 * data below it.
 *
 * Polled, without notifications: these miss files that were replaced by a rename, and do not come at all from
 * network file systems and from most mounts of virtual machines.
 */
export async function fingerprintOf(directory: string): Promise<string> {
  const entries = await readdir(directory, { withFileTypes: true }).catch(() => undefined);
  if (entries === undefined) return `${directory} cannot be read`;
  const fingerprint = entries
    .filter((entry) => entry.isDirectory() || policyFile.test(entry.name))
    .map(async (entry) => {
      const path = join(directory, entry.name);
      if (entry.isDirectory()) return fingerprintOf(path);
      const stat = await lstat(path).catch(() => undefined);
      return `${path} ${stat?.ino} ${stat?.size} ${stat?.mtimeMs} ${stat?.ctimeMs}`;
    });
  return (await Promise.all(fingerprint)).sort().join('\n');
}

/**
 * Waits until a directory differs from `before`, and stays as it then is for a moment.
 *
 * @returns its fingerprint by then; undefined if `until` came first
 */
export async function waitForChange(
  directory: string,
  before: string,
  until: AbortSignal,
): Promise<string | undefined> {
  let seen = before;
  for (;;) {
    const waited = await delay(seen === before ? idleMs : settleMs, true, { signal: until }).catch(() => false);
    if (!waited) return undefined;
    const now = await fingerprintOf(directory);
    if (now === seen && now !== before) return now;
    seen = now;
  }
}
