import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gunzipSync, gzipSync } from 'node:zlib';
import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { inflate } from '../../../src/bundle/reading/inflate.ts';
import { readArchive } from '../../../src/bundle/reading/read-archive.ts';
import { readTar } from '../../../src/bundle/reading/read-tar.ts';
import { BundleRefused } from '../../../src/domain/errors.ts';
import { bundleOf, gzipOf, type Member, pax, tarOf } from '../../support/archive.ts';
import { compilePolicy } from '../../support/compile-policy.ts';

const limits = { inflatedBytes: 1_048_576, members: 100 };
const data: Member = { name: '/data.json', content: '{"a":1}' };

/** Its files' names, or why it is refused. */
async function read(file: Uint8Array, within = limits): Promise<readonly string[] | string> {
  try {
    return [...(await readArchive(file, within)).keys()];
  } catch (cause) {
    if (cause instanceof BundleRefused) return cause.message;
    throw cause;
  }
}

async function refusal(file: Uint8Array, within = limits): Promise<string> {
  const result = await read(file, within);
  if (typeof result !== 'string') throw new Error(`taken: ${result.join()}`);
  return result;
}

describe('an archive', () => {
  it('gives its files by one name each, however it writes them', async () => {
    const archive = await readArchive(
      bundleOf([
        { name: './', type: '5' },
        { name: '/data.json', content: '{"a":1}' },
        { name: './policies/data.json', content: 'x'.repeat(1_500) },
        { name: 'policy.wasm', content: '' },
      ]),
      limits,
    );
    expect([...archive.keys()]).toEqual(['data.json', 'policies/data.json', 'policy.wasm']);
    expect(archive.get('data.json')?.toString()).toBe('{"a":1}');
    expect(archive.get('policies/data.json')?.length).toBe(1_500);
    expect(archive.get('policy.wasm')?.length).toBe(0);
  });

  it('is read as the compiler writes it', async () => {
    const names = await read(await compilePolicy('echo', ['authz/decision', 'echo/shown', 'echo/said']));
    expect(names).toEqual(expect.arrayContaining(['data.json', 'policy.wasm', '.manifest']));
  });

  it('is read as tar writes it, in each of its formats, long names and all', async () => {
    const directory = mkdtempSync(join(tmpdir(), 'tar-'));
    try {
      const long = `${'a'.repeat(60)}/${'b'.repeat(60)}/${'\u00e9'.repeat(50)}`;
      mkdirSync(join(directory, 'in', long), { recursive: true });
      writeFileSync(join(directory, 'in', long, 'data.json'), '{"deep":true}');
      writeFileSync(join(directory, 'in', 'data.json'), '{}');
      for (const format of ['gnu', 'pax']) {
        const file = join(directory, `${format}.tar.gz`);
        execFileSync('tar', ['-C', join(directory, 'in'), `--format=${format}`, '-czf', file, '.']);
        expect(((await read(readFileSync(file))) as string[]).sort()).toEqual(
          [`${long}/data.json`, 'data.json'].sort(),
        );
      }
    } finally {
      rmSync(directory, { recursive: true });
    }
  });

  it('may have its name in two fields, or in an extended header', async () => {
    expect(await read(bundleOf([{ ...data, name: 'data.json', prefix: 'a/b' }]))).toEqual(['a/b/data.json']);
    // GNU's own header has no prefix there, whatever the bytes look like.
    expect(await read(bundleOf([{ ...data, name: 'data.json', prefix: 'a/b', magic: 'ustar  \0' }]))).toEqual([
      'data.json',
    ]);
    expect(await read(bundleOf([pax({ path: 'c/data.json', mtime: '1' }), data]))).toEqual(['c/data.json']);
    expect(await read(bundleOf([{ name: '././@LongLink', type: 'L', content: 'd/data.json\0' }, data]))).toEqual([
      'd/data.json',
    ]);
    expect(await read(bundleOf([pax({ comment: 'abc' }, 'g'), data]))).toEqual(['data.json']);
  });
});

describe('B01 an archive that is not whole', () => {
  const whole = bundleOf([data, { name: 'policy.wasm', content: Buffer.alloc(3_000, 7) }]);

  it('B01 is refused wherever it is cut', async () => {
    for (let length = 0; length < whole.length; length += 1) {
      expect(await refusal(whole.subarray(0, length))).toMatch(/^the (archive|file|gzip header) /);
    }
    expect(await read(whole)).toEqual(['data.json', 'policy.wasm']);
  });

  it('B01 is refused where the tar inside is cut, at whatever byte', async () => {
    const tar = tarOf([data]);
    for (let length = 0; length < tar.length; length += 7) {
      expect(await refusal(gzipOf(tar.subarray(0, length)))).toMatch(/^the archive is no whole tar file/);
    }
  });

  it('B01 is refused when it is no gzip file at all', async () => {
    for (const bytes of [Buffer.alloc(0), Buffer.from('<html>'.repeat(10)), Buffer.alloc(100), gunzipSync(whole)]) {
      expect(await refusal(bytes)).toBe('the file is no gzip archive');
    }
    expect(await refusal(gzipOf(Buffer.from('no tar'.repeat(200))))).toMatch(/no whole tar file/);
  });

  it('B01 is refused when a second member follows, and when anything does', async () => {
    for (const behind of [whole, gzipSync(''), Buffer.from([0]), Buffer.alloc(512), Buffer.from('PK')]) {
      expect(await refusal(Buffer.concat([whole, behind]))).toBe('bytes stand behind the archive');
    }
    const [first, second] = [tarOf([data], Buffer.alloc(0)), tarOf([{ name: 'policy.wasm' }])];
    expect(await refusal(Buffer.concat([gzipSync(first), gzipSync(second)]))).toBe('bytes stand behind the archive');
  });

  it('B01 is refused when entries stand behind its end, where other readers stop', async () => {
    const hidden = tarOf([{ name: 'hidden/data.json', content: '{}' }]);
    expect(await refusal(gzipOf(tarOf([data], Buffer.concat([Buffer.alloc(1_024), hidden]))))).toBe(
      'bytes stand behind the end of the archive',
    );
    expect(await refusal(gzipOf(tarOf([data], Buffer.concat([Buffer.alloc(512), hidden]))))).toBe(
      'bytes stand behind the end of the archive',
    );
    expect(await read(gzipOf(tarOf([data], Buffer.alloc(10_240))))).toEqual(['data.json']);
  });

  it('B01 is refused when checksum or size at its end are wrong', async () => {
    const tar = tarOf([data]);
    expect(await refusal(gzipOf(tar, { checksum: 1 }))).toBe('the archive is damaged: its checksum is wrong');
    expect(await refusal(gzipOf(tar, { size: tar.length + 1 }))).toBe('the archive is damaged: its size is wrong');
  });

  it('B01 is refused with any one bit flipped, unless the bit means nothing', async () => {
    const sound = await readArchive(whole, limits);
    const seen = { refused: 0, meaningless: 0 };
    await fc.assert(
      fc.asyncProperty(fc.nat(whole.length * 8 - 1), async (bit) => {
        const at = Math.floor(bit / 8);
        const flipped = Buffer.from(whole);
        flipped[at] = (flipped[at] ?? 0) ^ (1 << (bit % 8));
        const result = await readArchive(flipped, limits).catch((cause: unknown) => cause);
        if (result instanceof BundleRefused) seen.refused += 1;
        else {
          seen.meaningless += 1;
          expect(result).toEqual(sound);
        }
      }),
      { numRuns: 1_000 },
    );
    expect(seen.refused).toBeGreaterThan(seen.meaningless);
  });

  it('B01 may have the optional parts of a gzip header, whole', async () => {
    const tar = tarOf([data]);
    const name = Buffer.from('bundle.tar\0');
    const extra = Buffer.from([3, 0, 1, 2, 3]);
    expect(await read(gzipOf(tar, { flags: 8, extra: name }))).toEqual(['data.json']);
    expect(await read(gzipOf(tar, { flags: 16, extra: name }))).toEqual(['data.json']);
    expect(await read(gzipOf(tar, { flags: 4, extra }))).toEqual(['data.json']);
    expect(await read(gzipOf(tar, { flags: 2, extra: Buffer.alloc(2) }))).toEqual(['data.json']);
    expect(await read(gzipOf(tar, { flags: 30, extra: Buffer.concat([extra, name, name, Buffer.alloc(2)]) }))).toEqual([
      'data.json',
    ]);
    expect(await refusal(gzipOf(tar, { flags: 0x20 }))).toBe('the gzip header has reserved flags');
    expect(await refusal(gzipOf(tar, { flags: 4, extra: Buffer.from([0xff, 0xff]) }))).toMatch(
      /^the (gzip header|archive)/,
    );
    const endless = Buffer.concat([Buffer.from([0x1f, 0x8b, 8, 8, 0, 0, 0, 0, 0, 0xff]), Buffer.alloc(20, 0x61)]);
    expect(await refusal(endless)).toBe('the gzip header is cut short');
  });
});

describe('B02 an archive that would be too much', () => {
  it('B02 is refused at the limit of bytes, whatever it states', async () => {
    const bomb = gzipSync(Buffer.alloc(50_000_000));
    const before = process.memoryUsage().rss;
    expect(await refusal(bomb)).toBe('the archive holds more than 1048576 bytes');
    expect(await refusal(gzipOf(Buffer.alloc(2_000_000), { size: 10 }))).toBe(
      'the archive holds more than 1048576 bytes',
    );
    expect(process.memoryUsage().rss - before).toBeLessThan(50_000_000);
  });

  it('B02 is taken at the limit of bytes and refused one past it', async () => {
    const tar = tarOf([data]);
    expect(await read(gzipOf(tar), { ...limits, inflatedBytes: tar.length })).toEqual(['data.json']);
    expect(await refusal(gzipOf(tar), { ...limits, inflatedBytes: tar.length - 1 })).toMatch(/holds more than/);
  });

  it('B02 never has the size allocated that a header states', async () => {
    const before = process.memoryUsage().rss;
    for (const size of ['77777777777\0', '37777777777\0']) {
      expect(await refusal(bundleOf([{ ...data, size }]))).toMatch(/an entry is cut short/);
    }
    // 8 GiB and more is written in another form, which is not taken.
    const size = Buffer.concat([Buffer.from([0x80, 0, 0, 0]), Buffer.alloc(8, 0xff)]).toString('latin1');
    expect(await refusal(bundleOf([{ ...data, size }]))).toMatch(/a header has no size/);
    expect(process.memoryUsage().rss - before).toBeLessThan(50_000_000);
  });

  it('B02 is refused at the limit of members, directories counted', async () => {
    const files = (count: number): Member[] => Array.from({ length: count }, (_, index) => ({ name: `${index}` }));
    expect(await read(bundleOf(files(100)))).toHaveLength(100);
    expect(await refusal(bundleOf(files(101)))).toBe('the archive has more than 100 members');
    const directories = Array.from({ length: 101 }, (_, index) => ({ name: `${index}/`, type: '5' }));
    expect(await refusal(bundleOf(directories))).toBe('the archive has more than 100 members');
  });

  it('B02 of a million members is refused as soon as it has too many', async () => {
    const one = tarOf([{ name: 'd/', type: '5' }], Buffer.alloc(0));
    const million = Buffer.alloc(512 * 1_000_000 + 1_024);
    for (let at = 0; at < 512 * 1_000_000; at += 512) one.copy(million, at);
    const packed = gzipSync(million, { level: 1 });
    const start = process.cpuUsage();
    expect(await refusal(packed)).toMatch(/holds more than 1048576 bytes/);
    expect(await refusal(packed, { inflatedBytes: 600_000_000, members: 100 })).toMatch(/more than 100 members/);
    expect(process.cpuUsage(start).user).toBeLessThan(10_000_000);
  });
});

describe('B03 a member that is no plain file under a plain name', () => {
  it.each([
    ['../x'],
    ['a/../../x'],
    ['/../x'],
    ['.'],
    ['..'],
    [''],
    ['/'],
    ['a//b'],
    ['a/./b'],
    ['a/'],
    ['a\\b'],
    ['..\\x'],
    ['a\u0007b'],
    ['a\u007fb'],
    ['a\u0085b'],
    ['C:\\x'],
  ])('B03 is refused: %j', async (name) => {
    expect(await refusal(bundleOf([{ ...data, name }]))).toMatch(/is no plain file name$/);
    expect(await refusal(bundleOf([pax({ path: name }), data]))).toMatch(/is no plain file name$/);
  });

  it('B03 is refused when its name is ten kilobytes long, and says no more of it than a line', async () => {
    const message = await refusal(bundleOf([pax({ path: 'x'.repeat(10_000) }), data]));
    expect(message).toMatch(/is no plain file name$/);
    expect(message.length).toBeLessThan(200);
    expect(await refusal(bundleOf([pax({ path: 'x'.repeat(70_000) }), data]))).toMatch(
      /extended header in the archive is too long/,
    );
  });

  it('B03 is refused when its name is no UTF-8', async () => {
    expect(await refusal(bundleOf([{ ...data, name: Buffer.from([0x61, 0xff]) }]))).toBe(
      'a name in the archive is no UTF-8',
    );
  });

  it('B03 has the name that stands before the first NUL, like everywhere else', async () => {
    expect(await read(bundleOf([{ ...data, name: 'data.json\0../x' }]))).toEqual(['data.json']);
    expect(await refusal(bundleOf([pax({ path: 'data.json\0../x' }), data]))).toMatch(/is no plain file name$/);
  });

  it.each([
    ['1', 'hard link'],
    ['2', 'symbolic link'],
    ['3', 'character device'],
    ['4', 'block device'],
    ['6', 'fifo'],
    ['S', 'member of type "S"'],
    ['K', 'member of type "K"'],
    ['\u0001', 'member of type "\\u0001"'],
  ])('B03 is refused when it is of type %j', async (type, what) => {
    expect(await refusal(bundleOf([{ name: 'x', type }]))).toBe(`"x" is a ${what}; only files may stand in a bundle`);
  });

  it('B03 is refused when an extended header overrides its size', async () => {
    for (const key of ['size', 'GNU.sparse.realsize']) {
      expect(await refusal(bundleOf([pax({ [key]: '1' }), data]))).toBe('the archive overrides the size of a file');
    }
  });

  it('B03 is refused when an extended header is for all members, or malformed', async () => {
    expect(await refusal(bundleOf([pax({ path: 'x' }, 'g'), data]))).toBe(
      'the archive gives all of its entries one name',
    );
    for (const content of ['x', '5 a=b', '6 a=b\n7', '0 a=b\n', '-1 a=b\n', '99 path=x\n', '6 ab\n', '8\n', ' a=b\n']) {
      expect(await refusal(bundleOf([{ name: 'p', type: 'x', content }, data]))).toMatch(/a pax record is malformed/);
    }
  });

  it('B03 is refused when its header is damaged', async () => {
    expect(await refusal(bundleOf([{ ...data, checksum: '000000\0 ' }]))).toMatch(/checksum of a header is wrong/);
    expect(await refusal(bundleOf([{ ...data, checksum: 'abc     ' }]))).toMatch(/a header has no checksum/);
    expect(await refusal(bundleOf([{ ...data, size: '-0000000001\0' }]))).toMatch(/a header has no size/);
    expect(await refusal(bundleOf([{ name: 'd/', type: '5', content: 'x' }]))).toBe(
      'a directory in the archive has content',
    );
  });

  it('B03 a mangled archive is read or refused, never anything else', () => {
    const whole = tarOf([{ name: 'a/', type: '5' }, pax({ path: 'b' }), data, { name: 'c', content: 'x'.repeat(600) }]);
    fc.assert(
      fc.property(
        fc.array(fc.tuple(fc.nat(whole.length - 1), fc.nat(255)), { minLength: 1, maxLength: 8 }),
        (changes) => {
          const mangled = Buffer.from(whole);
          for (const [at, byte] of changes) mangled[at] = byte;
          try {
            for (const { content } of readTar(mangled)) expect(content.length).toBeLessThanOrEqual(mangled.length);
          } catch (cause) {
            expect(cause).toBeInstanceOf(BundleRefused);
          }
        },
      ),
      { numRuns: 5_000 },
    );
  });
});

describe('B04 two members of one name', () => {
  it.each([
    ['/data.json', 'data.json'],
    ['data.json', './data.json'],
    ['./data.json', '//data.json'],
    ['.manifest', '/.manifest'],
    ['.signatures.json', '.signatures.json'],
    ['data.json', 'DATA.json'],
    ['a/data.json', 'A/data.json'],
  ])('B04 are refused: %s and %s', async (first, second) => {
    expect(
      await refusal(
        bundleOf([
          { ...data, name: first },
          { ...data, name: second },
        ]),
      ),
    ).toBe(`${JSON.stringify(second)} stands twice, as ${JSON.stringify(first)} too`);
  });
});

describe('inflate', () => {
  it('gives back whatever gzip packed', async () => {
    await fc.assert(
      fc.asyncProperty(fc.uint8Array({ maxLength: 5_000 }), async (bytes) => {
        expect(await inflate(gzipSync(bytes), 5_000)).toEqual(Buffer.from(bytes));
        expect(await inflate(gzipOf(bytes), 5_000)).toEqual(Buffer.from(bytes));
      }),
    );
  });
});
