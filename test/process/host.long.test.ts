import { mkdir, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { Place } from './sidecar-process.ts';

let place: Place;
beforeEach(async () => {
  place = await Place.make();
});
afterEach(() => place.remove());

describe('a machine that is seen somewhere else than at /', () => {
  it('is read there, as a container does that mounts it', async () => {
    const root = join(place.directory, 'host');
    for (const [path, text] of Object.entries({
      'etc/os-release': 'NAME="Made up"\nVERSION_ID="12.3"\n',
      'proc/1/mountinfo': '27 1 8:1 / / rw - ext4 /dev/root rw\n',
      'sys/dev/block/8:1/dm/uuid': 'CRYPT-LUKS2-0123\n',
      'sys/firmware/efi/efivars/SecureBoot-8be4df61-93ca-11d2-aa0d-00e098032b8c': '\u0006\0\0\0\u0001',
    })) {
      await mkdir(dirname(join(root, path)), { recursive: true });
      await writeFile(join(root, path), text);
    }
    await place.configure({ device: { id: 'node-7', host: { root } } });
    const sidecar = await place.start();
    const { body } = await sidecar.control().get('/v1/signals/device/node-7');
    const { reports }: { readonly reports: readonly { readonly attribute: string; readonly value: unknown }[] } =
      JSON.parse(body);
    // And of this machine nothing.
    expect(Object.fromEntries(reports.map(({ attribute, value }) => [attribute, value]))).toEqual({
      os_name: 'Made up',
      os_version: '12.3',
      os_major: 12,
      os_minor: 3,
      secure_boot: true,
      disk_encrypted: true,
    });
  }, 30_000);
});
