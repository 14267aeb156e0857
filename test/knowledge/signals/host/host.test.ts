import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, truncateSync, writeFileSync } from 'node:fs';
import { release, tmpdir, uptime } from 'node:os';
import { dirname, join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import type { Signal } from '../../../../src/domain/signal.ts';
import { epochMs } from '../../../../src/domain/time.ts';
import { HostSource, type HostSourceOptions, meets } from '../../../../src/knowledge/signals/host/host-source.ts';
import { readHost } from '../../../../src/knowledge/signals/host/read-host.ts';
import { realTimers } from '../../../../src/system/real-timers.ts';
import { FakeClock } from '../../../fakes/clock.ts';
import { testStores } from '../../stores.ts';

let root: string;

beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), 'postern-host-'));
});

afterEach(() => rmSync(root, { recursive: true, force: true }));

/** A machine's file system, as real files. */
function machine(files: Readonly<Record<string, string | Buffer>>): void {
  for (const [path, content] of Object.entries(files)) {
    mkdirSync(dirname(join(root, path)), { recursive: true });
    writeFileSync(join(root, path), content);
  }
}

function links(targets: Readonly<Record<string, string>>): void {
  for (const [path, target] of Object.entries(targets)) {
    mkdirSync(dirname(join(root, path)), { recursive: true });
    symlinkSync(target, join(root, path));
  }
}

const ubuntu = {
  'etc/os-release': `PRETTY_NAME="Ubuntu 24.04.1 LTS"\nNAME="Ubuntu"\nVERSION_ID="24.04"\nVERSION_CODENAME=noble\nID=ubuntu\nID_LIKE=debian\n`,
  'proc/sys/kernel/osrelease': '6.8.0-47-generic\n',
  'proc/sys/kernel/random/boot_id': '9d1e0f3a-1c2b-4d5e-8f90-a1b2c3d4e5f6\n',
  'proc/stat': 'cpu 1 2 3\nbtime 1762070000\nprocesses 5\n',
};
const secureBootPath = 'sys/firmware/efi/efivars/SecureBoot-8be4df61-93ca-11d2-aa0d-00e098032b8c';
const secureBoot = (value: number): Record<string, Buffer> => ({ [secureBootPath]: Buffer.from([6, 0, 0, 0, value]) });
const mounts = (device: string): Record<string, string> => ({
  'proc/1/mountinfo': `22 27 0:21 / /proc rw - proc proc rw\n27 1 ${device} / / rw,relatime shared:1 - ext4 /dev/root rw\n28 27 8:2 / /boot rw - ext4 /dev/sda2 rw\n`,
});
const physical = 'sys/devices/pci0000:00/ata1/block/sda';

describe('this very machine', () => {
  it('is read as its own tools see it', async () => {
    const facts = await readHost('/');
    expect(facts['kernel_version']).toBe(release());
    expect(facts['boot_id']).toBe(readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim());
    expect(Math.abs(Number(facts['boot_time']) - (Date.now() / 1000 - uptime()))).toBeLessThan(5);
    const id = /^ID=["']?([^"'\n]*)/m.exec(readFileSync('/etc/os-release', 'utf8'))?.[1];
    expect(facts['os_platform']).toBe(id);
    for (const name of ['secure_boot', 'disk_encrypted']) expect([undefined, true, false]).toContain(facts[name]);
  });
});

describe('a machine', () => {
  it('is named as osquery names it', async () => {
    machine(ubuntu);
    await expect(readHost(root)).resolves.toEqual({
      ...{
        os_name: 'Ubuntu',
        os_version: '24.04',
        os_major: 24,
        os_minor: 4,
        os_platform: 'ubuntu',
        os_codename: 'noble',
      },
      ...{ kernel_version: '6.8.0-47-generic', boot_time: 1762070000, boot_id: '9d1e0f3a-1c2b-4d5e-8f90-a1b2c3d4e5f6' },
    });
  });

  it('that says nothing is not guessed at', async () => {
    await expect(readHost(root)).resolves.toEqual({});
    machine({ 'etc/os-release': '', 'proc/sys/kernel/osrelease': '\n', 'proc/stat': 'btime soon\n' });
    await expect(readHost(root)).resolves.toEqual({});
  });

  it('may keep its release in the other place, quoted as a shell would', async () => {
    machine({
      'usr/lib/os-release': `# comment\nNAME='It''s'\nNAME="Acme \\"X\\" \\$1"\nVERSION_ID=rolling\nID=acme\nBROKEN="\nID2 = x\n`,
    });
    await expect(readHost(root)).resolves.toEqual({
      os_name: 'Acme "X" $1',
      os_version: 'rolling',
      os_platform: 'acme',
    });
  });

  it.each([
    [1, true],
    [0, false],
    [2, undefined],
  ])('with SecureBoot %j says %j', async (value, wanted) => {
    machine(secureBoot(value));
    expect((await readHost(root))['secure_boot']).toBe(wanted);
  });

  it('with half a SecureBoot variable, or none, says nothing of it', async () => {
    machine({ [secureBootPath]: Buffer.from([6, 0, 0, 0]) });
    expect(await readHost(root)).toEqual({});
  });

  it.each([
    ['2 updates can be applied immediately.\n1 of these updates is a standard security update.\n', 1],
    ['\n45 updates can be applied immediately.\n12 of these updates are standard security updates.\nTo see\n', 12],
    ['45 updates can be installed immediately.\n12 of these updates are security updates.\n', 12],
    ['0 updates can be applied immediately.\n', 0],
    ['7 updates can be applied immediately.\n', undefined],
    ['', undefined],
    ['12 Aktualisierungen\n', undefined],
  ])('with updates %j counts %j', async (text, wanted) => {
    machine({ 'var/lib/update-notifier/updates-available': text });
    expect((await readHost(root))['pending_security_updates']).toBe(wanted);
  });

  it('is not waited for, and does not fill the memory, whatever its files are', async () => {
    machine({ ...ubuntu, ...secureBoot(1), 'var/lib/update-notifier/other': '' });
    const pending = join(root, 'var/lib/update-notifier/updates-available');
    for (const bytes of [1024 * 1024, 1024 * 1024 + 1, 1_900_000_000]) {
      writeFileSync(pending, '3 updates are security updates.\n');
      truncateSync(pending, bytes);
      const before = process.memoryUsage().arrayBuffers;
      const facts = await readHost(root);
      expect(facts['pending_security_updates']).toBe(bytes > 1024 * 1024 ? undefined : 3);
      expect(facts['secure_boot']).toBe(true);
      expect(process.memoryUsage().arrayBuffers - before).toBeLessThan(64 * 1024 * 1024);
    }
    rmSync(pending);
    for (const path of ['var/lib/update-notifier/updates-available', 'etc/os-release', 'proc/1/mountinfo']) {
      rmSync(join(root, path), { force: true });
      mkdirSync(dirname(join(root, path)), { recursive: true });
      execFileSync('mkfifo', [join(root, path)]);
    }
    const facts = await readHost(root);
    expect(facts['secure_boot']).toBe(true);
    expect(Object.keys(facts)).not.toContain('pending_security_updates');
    expect(Object.keys(facts)).not.toContain('os_platform');
  });

  it('says that it must reboot, and never that it need not', async () => {
    expect(await readHost(root)).toEqual({});
    machine({ 'run/reboot-required': '' });
    expect(await readHost(root)).toEqual({ reboot_required: true });
  });
});

describe('the disk under the root file system', () => {
  const encrypted = async (): Promise<unknown> => (await readHost(root))['disk_encrypted'];
  const dm = (name: string, uuid: string, below: Record<string, string>): void => {
    machine({ [`sys/devices/virtual/block/${name}/dm/uuid`]: `${uuid}\n` });
    links(
      Object.fromEntries(
        Object.entries(below).map(([to, target]) => [`sys/devices/virtual/block/${name}/slaves/${to}`, target]),
      ),
    );
  };
  const partition = (n: number): void => machine({ [`${physical}/sda${n}/partition`]: `${n}\n` });
  const toPartition = (n: number): string => `../../../../pci0000:00/ata1/block/sda/sda${n}`;
  const at = (device: string, target: string): void => links({ [`sys/dev/block/${device}`]: target });

  it('is encrypted behind LVM on LUKS', async () => {
    machine(mounts('252:1'));
    partition(3);
    dm('dm-0', 'CRYPT-LUKS2-0123-cryptroot', { sda3: toPartition(3) });
    dm('dm-1', 'LVM-abc', { 'dm-0': '../../dm-0' });
    at('252:1', '../../devices/virtual/block/dm-1');
    expect(await encrypted()).toBe(true);
  });

  it('is not on a plain partition', async () => {
    machine(mounts('8:1'));
    partition(1);
    at('8:1', '../../devices/pci0000:00/ata1/block/sda/sda1');
    expect(await encrypted()).toBe(false);
  });

  it('is not where one half of a mirror is plain, and not known where one half cannot be seen', async () => {
    machine(mounts('9:0'));
    partition(1);
    dm('dm-0', 'CRYPT-LUKS2-0123-a', {});
    machine({ 'sys/devices/virtual/block/md0/md/level': 'raid1\n' });
    links({
      'sys/devices/virtual/block/md0/slaves/dm-0': '../../dm-0',
      'sys/devices/virtual/block/md0/slaves/sda1': toPartition(1),
    });
    at('9:0', '../../devices/virtual/block/md0');
    expect(await encrypted()).toBe(false);
    rmSync(join(root, 'sys/devices/virtual/block/md0/slaves/sda1'));
    links({ 'sys/devices/virtual/block/md0/slaves/gone': '../../gone' });
    expect(await encrypted()).toBeUndefined();
  });

  it.each(['CRYPT-VERITY-0123-root', 'CRYPT-INTEGRITY-0123-root', 'LVM-x', 'mpath-x', ''])(
    'is not because of a layer that does not encrypt: %j',
    async (uuid) => {
      machine(mounts('252:0'));
      partition(1);
      dm('dm-0', uuid, { sda1: toPartition(1) });
      at('252:0', '../../devices/virtual/block/dm-0');
      expect(await encrypted()).toBe(false);
    },
  );

  it.each(['0:42', 'x', '8:77'])('is not known on device %j', async (device) => {
    machine(mounts(device));
    expect(await encrypted()).toBeUndefined();
  });

  it('is not known on a loop, a network or an unknown device', async () => {
    machine(mounts('7:0'));
    machine({ 'sys/devices/virtual/block/loop0/size': '1\n' });
    at('7:0', '../../devices/virtual/block/loop0');
    expect(await encrypted()).toBeUndefined();
  });

  it('is not known where devices go round in a circle', async () => {
    machine(mounts('252:0'));
    dm('dm-0', 'LVM-a', { 'dm-1': '../../dm-1' });
    dm('dm-1', 'LVM-b', { 'dm-0': '../../dm-0' });
    at('252:0', '../../devices/virtual/block/dm-0');
    expect(await encrypted()).toBeUndefined();
  });

  it('is that of the mount on top, and of the own mounts where the first process hides its', async () => {
    machine({ 'proc/self/mountinfo': '1 1 0:2 / / rw - tmpfs x rw\n2 1 8:1 / / rw - ext4 /dev/root rw\n' });
    partition(1);
    at('8:1', '../../devices/pci0000:00/ata1/block/sda/sda1');
    expect(await encrypted()).toBe(false);
  });
});

describe('a baseline', () => {
  const facts = { secure_boot: true, disk_encrypted: true, os_major: 24 };
  it.each([
    ['all known and right', facts, { secure_boot: true, os_major: 24 }, true],
    ['one wrong', { ...facts, secure_boot: false }, { secure_boot: true, os_major: 24 }, false],
    ['one unknown', { os_major: 24 }, { secure_boot: true, os_major: 24 }, undefined],
    ['one unknown, one wrong', { os_major: 22 }, { secure_boot: true, os_major: 24 }, false],
    ['of another type', { os_major: '24' }, { os_major: 24 }, false],
    ['of a name every object has', {}, { toString: 'x' }, undefined],
    ['that asks nothing', facts, {}, undefined],
  ] as const)('%s', (_name, known, baseline, wanted) => {
    expect(meets(known, baseline)).toBe(wanted);
  });
});

describe('the host source', () => {
  const made = (put: (signals: readonly Signal[]) => Promise<never[]>, changes: Partial<HostSourceOptions> = {}) => {
    const clock = new FakeClock();
    const told: string[] = [];
    const line = (message: string): void => {
      told.push(message);
    };
    const log = { debug: line, info: line, warn: line, error: line };
    const source = new HostSource({
      ...{ deviceId: 'node-7', root, intervalMs: 30_000, baseline: {}, given: {}, signals: { put }, clock, log },
      timers: realTimers,
      ...changes,
    });
    return { source, clock, told };
  };

  it('reports what the machine says and what configuration gives, as one signal of its own', async () => {
    machine({ ...ubuntu, ...secureBoot(1) });
    const stores = await testStores();
    const { source, clock } = made(async (signals) => stores.signals.put(signals) as Promise<never[]>, {
      given: { node_name: 'worker-3' },
      baseline: { secure_boot: true },
    });
    await source.refresh();
    const held = stores.signals.held('device', 'node-7');
    expect(held?.find(({ attribute }) => attribute === 'node_name')).toEqual({
      ...{ attribute: 'node_name', value: 'worker-3', source: 'host', sequence: 1 },
      ...{ observedAt: clock.now(), expiresAt: epochMs(clock.now() + 90_000) },
    });
    expect(held?.find(({ attribute }) => attribute === 'compliant')?.value).toBe(true);
    expect(held?.find(({ attribute }) => attribute === 'kernel_version')?.value).toBe('6.8.0-47-generic');
  });

  it('sees a change with its next reading', async () => {
    machine({ ...ubuntu, ...secureBoot(1) });
    const stores = await testStores();
    const { source, clock } = made(async (signals) => stores.signals.put(signals) as Promise<never[]>, {
      baseline: { secure_boot: true },
    });
    await source.refresh();
    machine(secureBoot(0));
    clock.advance(30_000);
    await source.refresh();
    const value = (name: string): unknown =>
      stores.signals.held('device', 'node-7')?.find(({ attribute }) => attribute === name)?.value;
    expect([value('secure_boot'), value('compliant')]).toEqual([false, false]);
  });

  it('dates its report before the reading, and reads one at a time', async () => {
    machine(ubuntu);
    const signals: Signal[] = [];
    const { source, clock } = made(async ([signal]) => {
      if (signal !== undefined) signals.push(signal);
      clock.advance(1000);
      return [];
    });
    const start = clock.now();
    await Promise.all([source.refresh(), source.refresh()]);
    expect(signals.map(({ observedAt, sequence }) => [observedAt - start, sequence])).toEqual([
      [0, 1],
      [1000, 2],
    ]);
  });

  it('tells once when it cannot report, and when it can again', async () => {
    machine(ubuntu);
    let fails = true;
    const { source, told } = made(async () => {
      if (fails) throw new Error('the store is down');
      return [];
    });
    await source.refresh();
    await source.refresh();
    fails = false;
    await source.refresh();
    await source.refresh();
    expect(told).toHaveLength(2);
  });

  it('reports nothing of a machine that says nothing', async () => {
    let puts = 0;
    const { source, told } = made(async () => {
      puts += 1;
      return [];
    });
    await source.refresh();
    expect([puts, told.length]).toEqual([0, 1]);
  });

  it('reports at its start and on its interval, until it is stopped', async () => {
    machine(ubuntu);
    let puts = 0;
    const reported = Promise.withResolvers<void>();
    const { source } = made(
      async () => {
        puts += 1;
        if (puts === 3) reported.resolve();
        return [];
      },
      { intervalMs: 5 },
    );
    await source.start();
    expect(puts).toBe(1);
    const alive = setInterval(() => undefined, 1000); // the source's own timer keeps no process up
    await reported.promise;
    clearInterval(alive);
    await source.stop();
    const after = puts;
    await new Promise((resolve) => setTimeout(resolve, 30));
    expect(puts).toBe(after);
  });
});
