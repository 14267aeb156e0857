import { createHash, createHmac, generateKeyPairSync, sign } from 'node:crypto';
import { beforeAll, describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { readArchive } from '../../../src/bundle/reading/read-archive.ts';
import { fits, type SigningRule, verifySignature } from '../../../src/bundle/reading/verify-signature.ts';
import { archiveOf, type Files, limits, type SigningPair, signed, signingPair } from '../archives.ts';

const files: Files = {
  '.manifest': '{"roots": [""], "revision": "r1"}',
  'data.json': '{ "z": [1, 2.50, "x<y\\u2028\\/ \\ud83d\\ude00"], "\\ud83d\\ude00": -0, "\\uff5e": 1E5, "a": {} }',
  'a/b/data.json': '{"k":{"b":1,"a":[1,2.50,"x<y"]}}',
  'c/data.yaml': 'z:\n  x: 2.5\n  big: 12345678901234567890\n  f: 1.0e+30\n  s: "2"\n  n: ~\n  list: [a, b]\n',
  'policy.wasm': Uint8Array.of(0, 0x61, 0x73, 0x6d, 0xff),
  'samples.json': '[ ]',
};
let pair: SigningPair;
let bundle: Record<string, string | Uint8Array>;

beforeAll(async () => {
  pair = signingPair('ES256');
  bundle = await signed(files, pair);
});

function rule(change: Partial<SigningRule> = {}): SigningRule {
  return {
    required: true,
    keys: [{ id: 'release', algorithm: pair.algorithm, key: pair.publicKey }],
    scope: undefined,
    ...change,
  };
}

async function verified(members: Files, change: Partial<SigningRule> = {}) {
  return verifySignature(await readArchive(archiveOf(members), limits), rule(change));
}

/** A token of our own making, signed or not, over whatever it claims. */
function token(header: unknown, payload: unknown, sign: (text: string) => Buffer = () => Buffer.alloc(64)): string {
  const text = [header, payload].map((part) => Buffer.from(JSON.stringify(part)).toString('base64url')).join('.');
  return `${text}.${sign(text).toString('base64url')}`;
}

/** Undefined for what is no JSON. */
function meaning(bytes: Buffer): unknown {
  try {
    return JSON.stringify(JSON.parse(bytes.toString()));
  } catch {
    return undefined;
  }
}

function withToken(...tokens: readonly unknown[]): Files {
  return { ...files, '.signatures.json': JSON.stringify({ signatures: tokens }) };
}

describe('a bundle that opa sign has signed', () => {
  it('B09 verifies, whatever the blanks, the order and the escapes of its documents, and keeps 2.50 apart from 2.5', async () => {
    await expect(verified(bundle)).resolves.toEqual({ expiresAt: undefined });
    const respelt = { ...bundle, 'a/b/data.json': '\n{ "k" : {"a":[1,2.50,"\\u0078<y"], "b":1} }' };
    await expect(verified(respelt)).resolves.toBeDefined();
    const rounded = { ...bundle, 'a/b/data.json': '{"k":{"b":1,"a":[1,2.5,"x<y"]}}' };
    await expect(verified(rounded)).rejects.toThrow('"a/b/data.json" is not the file that was signed');
  });

  it.each(['ES256', 'ES384', 'ES512', 'RS256', 'RS512', 'PS256'] as const)('verifies with %s', async (algorithm) => {
    const other = signingPair(algorithm);
    const members = await signed({ 'data.json': '{}' }, other);
    const keys = [{ id: 'k', algorithm, key: other.publicKey }];
    await expect(verified(members, { keys })).resolves.toBeDefined();
    const wrong = [{ id: 'k', algorithm, key: signingPair(algorithm).publicKey }];
    await expect(verified(members, { keys: wrong })).rejects.toThrow('does not verify with key k');
  });

  it('is taken with any configured key while keys change, and with the named one where it names one', async () => {
    const next = signingPair('ES256');
    const both = [
      { id: 'next', algorithm: next.algorithm, key: next.publicKey },
      { id: 'release', algorithm: pair.algorithm, key: pair.publicKey },
    ];
    await expect(verified(bundle, { keys: both })).resolves.toBeDefined();
    await expect(verified(bundle, { keys: both.slice(0, 1) })).rejects.toThrow('does not verify');
    const named = await signed(files, pair, { keyid: 'release' });
    await expect(verified(named, { keys: both })).resolves.toBeDefined();
    await expect(verified(named, { keys: both.slice(0, 1) })).rejects.toThrow('by the key "release"');
    const misnamed = await signed(files, pair, { keyid: 'next' });
    await expect(verified(misnamed, { keys: both })).rejects.toThrow('does not verify with key next');
  });

  it('tells when it ends, if it does', async () => {
    const members = await signed(files, pair, { exp: 1_800_000_000 });
    await expect(verified(members)).resolves.toEqual({ expiresAt: 1_800_000_000_000 });
  });

  it('holds for its scope and no other', async () => {
    const scoped = await signed(files, pair, { scope: 'production' });
    await expect(verified(scoped, { scope: 'production' })).resolves.toBeDefined();
    await expect(verified(scoped, { scope: 'test' })).rejects.toThrow('not for the scope test');
    await expect(verified(scoped)).rejects.toThrow('for a scope, and none is configured');
    await expect(verified(bundle, { scope: 'production' })).rejects.toThrow('not for the scope production');
  });
});

describe('B08 V01 where a signature is required', () => {
  it.each([
    ['no signature at all', () => files, 'is not signed'],
    ['an empty object', () => ({ ...files, '.signatures.json': '{}' }), 'exactly one signature'],
    ['no signature in the list', () => withToken(), 'exactly one signature'],
    ['two signatures', () => withToken('a.b.c', 'd.e.f'), 'exactly one signature'],
    ['a signature that is a number', () => withToken(7), 'exactly one signature'],
    ['a token of two parts', () => withToken('e30.e30'), 'no compact JWS'],
    [
      'a plugin',
      () => ({ ...files, '.signatures.json': '{"signatures":["a.b.c"],"plugin":"mine"}' }),
      'asks for a plugin',
    ],
    [
      'alg none',
      () => withToken(token({ alg: 'none' }, { files: [] }, () => Buffer.alloc(0))),
      'is not the configured',
    ],
    ['no alg', () => withToken(token({}, { files: [] })), 'is not the configured ES256'],
    ['another algorithm', () => withToken(token({ alg: 'ES384' }, { files: [] })), 'is not the configured ES256'],
    ['an extension', () => withToken(token({ alg: 'ES256', crit: ['b64'], b64: false }, {})), 'extensions'],
    ['padding', () => withToken(`${token({ alg: 'ES256' }, { files: [] })}=`), 'no base64url'],
    ['a header twice', () => withToken('eyJhbGciOiJFUzI1NiIsImFsZyI6Im5vbmUifQ.e30.AA'), 'a member appears twice'],
  ])('%s is refused', async (_what, members, reason) => {
    await expect(verified(members())).rejects.toThrow(reason);
  });

  it('HMAC with the public key as its secret is refused', async () => {
    const secret = pair.publicKey.export({ type: 'spki', format: 'pem' });
    const forged = token({ alg: 'HS256' }, { files: [] }, (text) => createHmac('sha256', secret).update(text).digest());
    await expect(verified(withToken(forged))).rejects.toThrow('"HS256" is not the configured ES256');
  });

  it('the key’s name decides nothing: without a kid the requirement stands', async () => {
    await expect(verified(files, { keys: [] })).rejects.toThrow('is not signed');
    await expect(verified(bundle, { keys: [] })).rejects.toThrow('no verification key is configured');
  });

  it('without the requirement an unsigned bundle is taken, and a signed one verified all the same', async () => {
    await expect(verified(files, { required: false })).resolves.toBeUndefined();
    const tampered = { ...bundle, 'policy.wasm': Uint8Array.of(1) };
    await expect(verified(tampered, { required: false })).rejects.toThrow('"policy.wasm" is not the file');
    await expect(verified(bundle, { required: false, keys: [] })).rejects.toThrow('no verification key');
  });

  it.each(['MD5', 'SHA-1', 'sha256', 'CRC'])('%s hashes are refused, the signature being right', async (algorithm) => {
    const list = [{ name: 'data.json', hash: createHash('md5').update('{}').digest('hex'), algorithm }];
    const made = token({ alg: 'ES256' }, { files: list }, (text) =>
      sign('sha256', Buffer.from(text), { key: pair.privatePem, dsaEncoding: 'ieee-p1363' }),
    );
    const members = { 'data.json': '{}', '.signatures.json': JSON.stringify({ signatures: [made] }) };
    await expect(verified(members)).rejects.toThrow('which is not taken');
  });
});

describe('B09 V02 what a signature covers', () => {
  it('a file that the signature does not list is refused, whatever its name ends in', async () => {
    for (const name of ['foosignatures.json', 'x.signatures.json', 'a/.signatures.json', 'extra/data.json', 'b.rego']) {
      await expect(verified({ ...bundle, [name]: '{}' })).rejects.toThrow(`${JSON.stringify(name)} is not covered`);
    }
  });

  it('a listed file that is not there is refused', async () => {
    for (const name of Object.keys(files)) {
      const { [name]: _gone, ...rest } = bundle;
      await expect(verified(rest)).rejects.toThrow(`lists ${JSON.stringify(name)}, which is not in the bundle`);
    }
  });

  it('two files that changed places are refused', async () => {
    const swapped = await signed({ 'a/data.json': '{"x":1}', 'b/data.json': '{"x":2}' }, pair);
    const members = {
      ...swapped,
      'a/data.json': swapped['b/data.json'] ?? '',
      'b/data.json': swapped['a/data.json'] ?? '',
    };
    await expect(verified(members)).rejects.toThrow('is not the file that was signed');
  });

  it('B07 one bit flipped anywhere in a signed file is refused', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.constantFrom(...Object.keys(bundle).filter((name) => name !== 'c/data.yaml')),
        fc.nat(),
        fc.integer({ min: 0, max: 7 }),
        async (name, at, bit) => {
          const bytes = Buffer.from(bundle[name] ?? '');
          const index = at % bytes.length;
          bytes[index] = (bytes[index] ?? 0) ^ (1 << bit);
          // Two spellings of one meaning, such as `uFF5E` for `uff5e`, are one to the signature (YAML has too many to tell).
          fc.pre(name !== 'data.json' || meaning(bytes) !== meaning(Buffer.from(bundle[name] ?? '')));
          await expect(verified({ ...bundle, [name]: bytes })).rejects.toThrow();
        },
      ),
      { numRuns: 1_000 },
    );
  });
});

describe('a key and its algorithm', () => {
  it('fit, or cannot be configured together', () => {
    const rsa = generateKeyPairSync('rsa', { modulusLength: 1_024 });
    expect(fits('RS256', rsa.publicKey)).toBe(false); // too short
    expect(fits('ES256', signingPair('ES384').publicKey)).toBe(false);
    expect(fits('PS512', signingPair('RS256').publicKey)).toBe(true);
    expect(fits('EdDSA', generateKeyPairSync('ed25519').publicKey)).toBe(true);
    expect(fits('ES256', generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey)).toBe(false);
  });
});
