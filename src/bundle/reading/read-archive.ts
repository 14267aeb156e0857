import { BundleRefused } from '../../domain/errors.ts';
import { inflate } from './inflate.ts';
import { readTar } from './read-tar.ts';

export interface ArchiveLimits {
  readonly inflatedBytes: number;
  /** Files and directories. */
  readonly members: number;
}

/** What a bundle may unpack to, wherever it is read: 1 GiB in 10,000 members. */
export const archiveLimits: ArchiveLimits = { inflatedBytes: 1_073_741_824, members: 10_000 };

/** A bundle's files by normalised name (`policies/data.json`: no leading slash), in memory; nothing is ever unpacked to disk. */
export type Archive = ReadonlyMap<string, Buffer>;

/** @throws BundleRefused names the member and what is wrong with it */
export async function readArchive(file: Uint8Array, limits: ArchiveLimits): Promise<Archive> {
  const tar = await inflate(file, limits.inflatedBytes);
  const files = new Map<string, Buffer>();
  const folded = new Map<string, string>();
  let members = 0;
  for (const { name, kind, content } of readTar(tar)) {
    // Directories count: a million of them are as much work as a million files.
    members += 1;
    if (members > limits.members) throw new BundleRefused(`the archive has more than ${limits.members} members`);
    if (kind === 'directory') continue;
    const normal = normalised(name);
    const twin = folded.get(normal.toLowerCase());
    if (twin !== undefined) throw new BundleRefused(`${shown(name)} stands twice, as ${shown(twin)} too`);
    folded.set(normal.toLowerCase(), name);
    files.set(normal, content);
  }
  return files;
}

/** `/a/b`, `./a/b` and `a/b` are one name: OPA writes the first, tar the others. */
function normalised(name: string): string {
  const normal = name.replace(/^(\.?\/)+/, '');
  const segments = normal.split('/');
  if (
    normal.length > 1_024 ||
    /[\\\p{Cc}]/u.test(normal) ||
    segments.some((one) => one === '' || one === '.' || one === '..')
  ) {
    throw new BundleRefused(`${shown(name)} is no plain file name`);
  }
  return normal;
}

function shown(name: string): string {
  return JSON.stringify(name.slice(0, 100));
}
