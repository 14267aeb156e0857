// Tested by test/knowledge/signals/host/host.test.ts.
import { readdir, realpath, stat } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { readWhole } from './read-whole.ts';

/**
 * Kinds of device-mapper target that encrypt (cryptsetup's UUID prefixes). `CRYPT-VERITY-` and `CRYPT-INTEGRITY-` do not:
 * the layers below them may or may not encrypt.
 */
const encrypting = /^CRYPT-(?:LUKS1|LUKS2|PLAIN|LOOPAES|TCRYPT|BITLK|FVAULT2)-/;
/** Disks under which there is nothing more to see. What is below any other device is not known. */
const disk = /^(?:sd[a-z]+|vd[a-z]+|xvd[a-z]+|hd[a-z]+|nvme\d+n\d+|mmcblk\d+)$/;
const layersMax = 16;

/**
 * Whether everything under the root file system goes through dm-crypt. Encryption below what the system sees (a drive's
 * own, a cloud's) does not show here; osquery's `disk_encryption` means the same.
 *
 * @returns undefined where the chain of devices cannot be followed to its end: an overlay, a network disk, btrfs, ZFS
 */
export async function rootIsEncrypted(root: string): Promise<boolean | undefined> {
  try {
    const device = rootDevice(await mountsOf(root));
    return device === undefined ? undefined : await isEncrypted(join(root, 'sys/dev/block', device), layersMax);
  } catch {
    // A link of the chain is not there to be read, so nothing is known of it.
    return undefined;
  }
}

/** Of the first process where it may be read: seen from a container, its own mounts are not the machine's. */
async function mountsOf(root: string): Promise<string> {
  const own = (pid: string): Promise<Buffer | undefined> => readWhole(join(root, 'proc', pid, 'mountinfo'));
  const mounts = await own('1').catch(() => own('self'));
  return mounts?.toString('utf8') ?? '';
}

/** @see proc_pid_mountinfo(5); the last of several mounts on one place is the one that is seen */
function rootDevice(mountinfo: string): string | undefined {
  let device: string | undefined;
  for (const mount of mountinfo.split('\n')) {
    const [, , majorMinor, , place] = mount.split(' ');
    if (place === '/') device = majorMinor;
  }
  // Major 0 is not a block device: overlay, tmpfs, btrfs.
  return device === undefined || !/^[1-9]\d*:\d+$/.test(device) ? undefined : device;
}

async function isEncrypted(device: string, layers: number): Promise<boolean | undefined> {
  if (layers === 0) return undefined;
  const directory = await realpath(device);
  const uuid = await readWhole(join(directory, 'dm/uuid')).catch(() => undefined);
  if (uuid !== undefined && encrypting.test(uuid.toString('utf8'))) return true;
  const below = await readdir(join(directory, 'slaves')).catch(() => []);
  if (below.length > 0) {
    const parts = await Promise.all(below.map((name) => isEncrypted(join(directory, 'slaves', name), layers - 1)));
    if (parts.includes(false)) return false;
    return parts.every((part) => part === true) ? true : undefined;
  }
  const isPartition = await stat(join(directory, 'partition')).catch(() => undefined);
  if (isPartition !== undefined) return isEncrypted(dirname(directory), layers - 1);
  return disk.test(basename(directory)) ? false : undefined;
}
