import { extract } from 'tar-stream';
import { BundleRefused } from '../domain/errors.ts';
import { inflate } from './inflate.ts';

export interface ArchiveLimits {
  readonly inflatedBytes: number;
  readonly members: number;
}

/** A bundle's files by normalised name (`policies/data.json`: no leading slash), in memory; nothing is ever unpacked to disk. */
export type Archive = ReadonlyMap<string, Buffer>;

/** @throws BundleRefused names the member and what is wrong with it */
export async function readArchive(file: Uint8Array, limits: ArchiveLimits): Promise<Archive> {
  const tar = await inflate(file, limits.inflatedBytes);
  const files = new Map<string, Buffer>();
  const folded = new Map<string, string>();
  const reader = extract();
  reader.end(tar);
  try {
    for await (const entry of reader) {
      const { name, type } = entry.header;
      if (type === 'directory') {
        entry.resume();
        continue;
      }
      if (type !== 'file' && type !== 'contiguous-file')
        throw new BundleRefused(`${shown(name)} is a ${type}; only files may stand in a bundle`);
      const normal = normalised(name);
      const twin = folded.get(normal.toLowerCase());
      if (twin !== undefined) throw new BundleRefused(`${shown(name)} stands twice, as ${shown(twin)} too`);
      if (files.size >= limits.members) throw new BundleRefused(`more than ${limits.members} files`);
      const chunks: Buffer[] = [];
      for await (const chunk of entry) chunks.push(chunk as Buffer);
      folded.set(normal.toLowerCase(), name);
      files.set(normal, Buffer.concat(chunks));
    }
  } catch (cause) {
    if (cause instanceof BundleRefused) throw cause;
    throw new BundleRefused(
      `the archive is no whole tar file: ${cause instanceof Error ? cause.message : String(cause)}`,
      { cause },
    );
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
