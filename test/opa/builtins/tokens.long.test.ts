import { createHmac, generateKeyPairSync, type KeyObject, sign } from 'node:crypto';
import { describe, expect, it } from '@jest/globals';
import { opaMs } from '../../support/opa.ts';
import { againstOpa, type Call, call, callsAgainstOpa } from './against-opa.ts';

const secret = 'a secret that is shared';

function encoded(text: string): string {
  return Buffer.from(text).toString('base64url');
}

function macToken(header: string, payload: string, hash = 'sha256', key = secret): string {
  const data = `${encoded(header)}.${encoded(payload)}`;
  return `${data}.${createHmac(hash, key).update(data).digest('base64url')}`;
}

function token(alg: string, key: KeyObject, claims: unknown, more: object = {}): string {
  const data = `${encoded(JSON.stringify({ alg, ...more }))}.${encoded(JSON.stringify(claims))}`;
  const hash = alg === 'EdDSA' ? null : `sha${alg.slice(2)}`;
  const padding = alg.startsWith('PS') ? { padding: 6, saltLength: Number(alg.slice(2)) / 8 } : {};
  return `${data}.${sign(hash, Buffer.from(data), { key, dsaEncoding: 'ieee-p1363', ...padding }).toString('base64url')}`;
}

const pairs = {
  rsa: generateKeyPairSync('rsa', { modulusLength: 2_048 }),
  p256: generateKeyPairSync('ec', { namedCurve: 'P-256' }),
  p384: generateKeyPairSync('ec', { namedCurve: 'P-384' }),
  p521: generateKeyPairSync('ec', { namedCurve: 'P-521' }),
  ed25519: generateKeyPairSync('ed25519'),
};
/** Keys that sign nothing here. */
const strange = [
  generateKeyPairSync('ec', { namedCurve: 'secp256k1' }),
  generateKeyPairSync('ec', { namedCurve: 'P-224' }),
  generateKeyPairSync('x25519'),
  generateKeyPairSync('x448'),
  generateKeyPairSync('ed448'),
  generateKeyPairSync('rsa', { modulusLength: 768 }),
];
const signed = [
  ...['RS256', 'RS384', 'RS512', 'PS256', 'PS384', 'PS512'].map((alg) => [alg, pairs.rsa] as const),
  ...[['ES256', pairs.p256] as const, ['ES384', pairs.p384] as const, ['ES512', pairs.p521] as const],
  ['EdDSA', pairs.ed25519] as const,
];
const verifiers = signed.map(([alg]) => `io.jwt.verify_${alg.toLowerCase()}`);

function pem({ publicKey }: { readonly publicKey: KeyObject }): string {
  return publicKey.export({ type: 'spki', format: 'pem' }).toString();
}

function jwk(key: KeyObject, more: object = {}): string {
  return JSON.stringify({ ...key.export({ format: 'jwk' }), ...more });
}

function without(text: string, part: number): string {
  return text
    .split('.')
    .map((one, index) => (index === part ? '' : one))
    .join('.');
}

describe('signed tokens', () => {
  it(
    'are verified by the keys that OPA verifies them by',
    async () => {
      const all = Object.values(pairs);
      const keys = [
        ...all.map(pem),
        ...all.map(({ publicKey }) => jwk(publicKey)),
        ...all.slice(0, 2).map(({ privateKey }) => jwk(privateKey)),
        JSON.stringify({ keys: all.map(({ publicKey }, index) => JSON.parse(jwk(publicKey, { kid: `k${index}` }))) }),
        JSON.stringify({ keys: all.map(({ publicKey }) => JSON.parse(jwk(publicKey, { alg: 'ES256' }))) }),
      ];
      const tokens = signed.flatMap(([alg, { privateKey }]) => [
        token(alg, privateKey, { a: 1 }),
        token(alg, privateKey, { a: 1 }, { kid: 'k1' }),
        without(token(alg, privateKey, { a: 1 }), 2),
        token(alg, privateKey, { a: 1 }).replace(/.{4}$/, 'AAAA'),
        `${token(alg, privateKey, { a: 1 })}AAAA`,
      ]);
      const { differences, defined, ...rest } = await callsAgainstOpa(
        tokens.flatMap((text, at) =>
          keys.flatMap((key): Call[] => [
            ...verifiers
              .filter((_, index) => index === Math.floor(at / 5) || index % 4 === at % 4)
              .map((name) => [name, text, key] as const),
            ['io.jwt.decode_verify', text, { cert: key, time: 1_000_000_000 }],
          ]),
        ),
      );
      expect(differences).toEqual([]);
      expect(defined).toBeGreaterThan(2_000);
      expect(rest.undefined).toBe(0);
    },
    opaMs,
  );

  it(
    'are refused with keys that are malformed or of no use, as in OPA',
    async () => {
      const text = token('RS256', pairs.rsa.privateKey, {});
      const rsa = pem(pairs.rsa);
      const keys = [
        ...strange.map(pem),
        ...strange.filter((_, index) => index !== 1).map(({ publicKey }) => jwk(publicKey)),
        ...[
          rsa.trim(),
          `x\n${rsa}`,
          `${rsa}x`,
          rsa + rsa,
          rsa.replace('PUBLIC', 'RSA PUBLIC'),
          rsa.replaceAll('PUBLIC', 'X'),
        ],
        ...[
          rsa.replace(/[A-Z]/, '!'),
          rsa.replace('-----END', '-----EMD'),
          rsa.replace(/\n/g, '\r\n'),
          rsa.slice(0, 90),
        ],
        rsa.replace('KEY-----\n', 'KEY-----\nA: b\n\n'),
        ...[
          '',
          '{}',
          '[]',
          'null',
          '{"keys": []}',
          '{"keys": {}}',
          '{"keys": [1]}',
          '{"kty": "oct"}',
          '{"kty": "oct", "k": "é"}',
        ],
        ...[
          '{"kty": "oct", "k": "YQ"}',
          '{"kty": "oct", "k": ""}',
          '{"kty": "RSA"}',
          '{"kty": "EC", "crv": "P-256"}',
          '{"kty": "x"}',
        ],
        ...['none', 'RSA-OAEP', 'ES256K', 'nothing', ''].map((alg) => jwk(pairs.rsa.publicKey, { alg })),
        jwk(pairs.rsa.publicKey, { alg: 1 }),
        jwk(pairs.rsa.publicKey, { alg: null }),
        jwk(pairs.rsa.publicKey, { kid: null }),
        jwk(pairs.rsa.publicKey, { kid: 1 }),
        jwk(pairs.rsa.publicKey, { alg: 'RS256', kid: 'x', use: 'sig' }),
        pairs.rsa.privateKey.export({ type: 'pkcs8', format: 'pem' }).toString(),
        `-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n`,
      ];
      const { differences, defined, ...rest } = await callsAgainstOpa(
        keys.flatMap((key): Call[] => [
          ['io.jwt.verify_rs256', text, key],
          ['io.jwt.verify_es256', text, key],
          ['io.jwt.decode_verify', text, { cert: key, time: 0 }],
        ]),
      );
      expect(differences).toEqual([]);
      expect(defined).toBeGreaterThan(15);
      expect(rest.undefined).toBeGreaterThan(30);
    },
    opaMs,
  );

  it(
    'have headers and claims that are read as OPA reads them',
    async () => {
      const headers = [
        ...[
          '{"alg":"HS256"}',
          '{"alg":"HS256","typ":"JWT"}',
          '{"alg":"HS256","typ":1}',
          '{"alg":"none"}',
          '{"alg":"x"}',
          '{}',
          '[]',
        ],
        ...[
          '{"alg":1}',
          '{"alg":"HS256","enc":"x"}',
          '{"alg":"HS256","crit":[]}',
          '{"alg":"HS256","crit":"exp"}',
          'x',
          '{"alg":null}',
        ],
        ...[
          '{"alg":"HS256","crit":["exp"]}',
          '{"alg":"HS256","crit":["x"],"x":1}',
          '{"alg":"HS256","crit":["x",1],"x":1}',
        ],
        ...[
          '{"alg":"HS256","crit":[1,"x"],"x":1}',
          '{"alg":"HS256","kid":1}',
          '{"alg":"HS256","kid":"y"}',
          '{"alg":"HS256","crit":["typ"],"typ":"x"}',
        ],
        ...[
          '{"alg":"HS256","cty":"JWT"}',
          '{"alg":"HS256","cty":"jwt"}',
          '{"alg":"HS256","cty":""}',
          '{"alg":"HS256","cty":"x"}',
          '{"alg":"HS384"}',
        ],
      ];
      const claims = [
        ...[
          '{}',
          '{"iss":"i"}',
          '{"aud":"a"}',
          '{"aud":["a","b"]}',
          '{"aud":[1]}',
          '{"aud":1}',
          '{"exp":100}',
          '{"exp":101}',
        ],
        ...[
          '{"exp":"x"}',
          '{"nbf":100}',
          '{"nbf":101}',
          '{"nbf":null}',
          '{"exp":100.5,"nbf":99.5}',
          '[]',
          '"x"',
          'x',
          '',
        ],
        ...[
          '{"iss":"i","aud":"a","exp":1e3,"nbf":0}',
          macToken('{"alg":"HS256"}', '{"in":1}'),
          `"${macToken('{"alg":"HS256"}', '{}')}"`,
        ],
      ];
      const constraints = [
        ...[
          {},
          { alg: 'HS256' },
          { alg: 'HS384' },
          { iss: 'i' },
          { aud: 'a' },
          { iss: 'i', aud: 'a' },
          { aud: 'b' },
          { iss: '' },
        ],
        ...[
          { time: 101_000_000_000 },
          { time: 100.5e9 },
          { time: -1 },
          { time: 'x' },
          { alg: 1 },
          { other: 1 },
          { cert: 'x' },
        ],
      ].map((one) => ({ secret, time: 100_000_000_000, ...one }));
      const tokens = headers.flatMap((header) => claims.map((payload) => macToken(header, payload)));
      const one = macToken('{"alg":"HS256"}', '{}');
      const odd = [
        '',
        '.',
        '..',
        '...',
        'a.b.c',
        'e30.e30.',
        `${one}.`,
        `${one}=`,
        one.replace('.', '!.'),
        without(one, 0),
        without(one, 1),
        `${one}A`,
        ` ${one}`,
      ];
      const { differences, defined, ...rest } = await callsAgainstOpa([
        ...[...tokens, ...odd].flatMap((text): Call[] => [
          ['io.jwt.decode', text],
          ['io.jwt.verify_hs256', text, secret],
          ...constraints.map((given): Call => ['io.jwt.decode_verify', text, given]),
        ]),
        ...[{ time: 1 }, { secret: '' }, { cert: 1 }, {}].map((given): Call => ['io.jwt.decode_verify', one, given]),
        ...['sha256', 'sha384', 'sha512'].flatMap((hash) =>
          ['hs256', 'hs384', 'hs512'].flatMap((alg): Call[] => [
            [`io.jwt.verify_${alg}`, macToken('{}', '{}', hash), secret],
            [`io.jwt.verify_${alg}`, macToken('{}', '{}', hash, ''), ''],
          ]),
        ),
      ]);
      expect(differences).toEqual([]);
      expect(defined).toBeGreaterThan(1_500);
      expect(rest.undefined).toBeGreaterThan(1_500);
    },
    opaMs,
  );
});

describe('tokens that a policy signs', () => {
  it(
    'are those that OPA signs, or that OPA takes',
    async () => {
      const keys = [
        ...Object.values(pairs).map(({ privateKey }) => privateKey.export({ format: 'jwk' })),
        ...[
          pairs.rsa.publicKey.export({ format: 'jwk' }),
          { kty: 'oct', k: encoded(secret) },
          { kty: 'oct', k: '' },
          {},
        ],
        { keys: [{ kty: 'oct', k: 'YQ' }] },
        { keys: [] },
        strange[0]?.privateKey.export({ format: 'jwk' }),
      ];
      const headers = [
        ...['RS256', 'RS384', 'RS512', 'HS256', 'HS384', 'HS512', 'EdDSA', 'none', 'x', 1].map((alg) => ({ alg })),
        ...[{}, { alg: 'HS256', typ: 'JWT' }, { alg: 'HS256', typ: 'x' }, { alg: 'HS256', typ: 1 }],
      ];
      const payloads = ['{}', 'x', '', '[1]', '{"a":"é"}'];
      const { differences, defined, ...rest } = await callsAgainstOpa([
        ...keys.flatMap((key, at) =>
          // OPA takes an Ed25519 key's bytes for a secret; that a private key makes a MAC is nothing to follow.
          headers
            .filter(({ alg }) => at !== 4 || !`${alg}`.startsWith('HS'))
            .flatMap((header): Call[] => [
              ['io.jwt.encode_sign', header, { a: [1, '<'] }, key],
              ...payloads.map(
                (payload): Call => ['io.jwt.encode_sign_raw', JSON.stringify(header), payload, JSON.stringify(key)],
              ),
            ]),
        ),
        ...['x', '', '[]', '{"alg":"HS256",}'].map(
          (header): Call => ['io.jwt.encode_sign_raw', header, '{}', '{"kty":"oct","k":"YQ"}'],
        ),
        ['io.jwt.encode_sign_raw', '{"alg":"HS256"}', '{}', 'x'],
      ]);
      expect(differences).toEqual([]);
      expect(defined).toBeGreaterThan(50);
      expect(rest.undefined).toBeGreaterThan(200);
      // Of chance: each side is to take its own.
      const drawn = signed.flatMap(([alg, { privateKey, publicKey }]) => {
        const made = call('io.jwt.encode_sign', { alg }, { a: 1 }, privateKey.export({ format: 'jwk' }));
        return [publicKey, pairs.p256.publicKey].map(
          (key) => `io.jwt.verify_${alg.toLowerCase()}(${made}, ${JSON.stringify(jwk(key))})`,
        );
      });
      expect(await againstOpa(drawn)).toMatchObject({ defined: drawn.length, undefined: 0, differences: [] });
    },
    opaMs,
  );
});

describe('digests', () => {
  it(
    'are those of OPA',
    async () => {
      const texts = ['', 'a', 'é😀', 'x'.repeat(1_000)];
      const names = [
        'crypto.hmac.md5',
        'crypto.hmac.sha1',
        'crypto.hmac.sha256',
        'crypto.hmac.sha512',
        'crypto.hmac.equal',
      ];
      const calls = texts.flatMap((text): Call[] => [
        ...['crypto.md5', 'crypto.sha1', 'crypto.sha256'].map((name): Call => [name, text]),
        ...names.flatMap((name) => texts.map((key): Call => [name, text, key])),
      ]);
      expect(await callsAgainstOpa(calls)).toMatchObject({ defined: calls.length, undefined: 0, differences: [] });
    },
    opaMs,
  );
});
