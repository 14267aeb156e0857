import type { Disk } from '../../src/bundle/serving/kept-bundle.ts';

/** A file: what is in it, and what a crash would leave of it. */
interface File {
  readonly bytes: Uint8Array;
  readonly isSynced: boolean;
}

/**
 * A disk in memory that can fail at any step and lose power: renames that were not synced may be there or not, and bytes
 * that were not synced may be lost or torn.
 */
export class CrashDisk implements Disk {
  /** As programs see it. */
  #files: Map<string, File>;
  /** The names that are sure to be there after a crash. */
  #synced: Map<string, File>;
  #failsAt = Number.POSITIVE_INFINITY;
  #code = '';
  steps = 0;

  constructor(files: ReadonlyMap<string, File> = new Map()) {
    this.#files = new Map(files);
    this.#synced = new Map(files);
  }

  copy(): CrashDisk {
    return new CrashDisk(this.#files);
  }

  /** @param step how many steps from now still work */
  failAfter(step: number, code: string): void {
    this.#failsAt = this.steps + step;
    this.#code = code;
  }

  /** What is found after the power came back. */
  afterCrash(mood: 'kept' | 'lost' | 'torn'): CrashDisk {
    const names = mood === 'lost' ? this.#synced : this.#files;
    const torn = ({ bytes, isSynced }: File): File =>
      isSynced
        ? { bytes, isSynced }
        : { bytes: mood === 'torn' ? bytes.subarray(0, bytes.length / 2) : bytes, isSynced };
    return new CrashDisk(new Map([...names].map(([name, file]) => [name, torn(file)])));
  }

  async makeFolder(): Promise<void> {
    this.#step();
  }

  async read(path: string): Promise<Uint8Array | undefined> {
    return this.#files.get(path)?.bytes;
  }

  async write(path: string, bytes: Uint8Array): Promise<void> {
    if (this.steps + 1 > this.#failsAt) this.#files.set(path, { bytes, isSynced: false });
    this.#step();
    this.#files.set(path, { bytes, isSynced: true });
  }

  async rename(from: string, to: string): Promise<void> {
    this.#step();
    const file = this.#files.get(from);
    if (file === undefined) throw new Error('ENOENT');
    this.#files.delete(from);
    this.#files.set(to, file);
  }

  async syncFolder(): Promise<void> {
    this.#step();
    this.#synced = new Map(this.#files);
  }

  async list(folder: string): Promise<readonly string[]> {
    return [...this.#files.keys()]
      .filter((path) => path.startsWith(`${folder}/`))
      .map((path) => path.slice(folder.length + 1));
  }

  async remove(path: string): Promise<void> {
    this.#step();
    this.#files.delete(path);
  }

  #step(): void {
    if (this.steps + 1 > this.#failsAt) throw new Error(this.#code);
    this.steps += 1;
  }
}
