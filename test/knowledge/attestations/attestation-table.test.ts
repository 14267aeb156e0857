import { constants, createPublicKey, createSecretKey, generateKeyPairSync, sign, verify } from 'node:crypto';
import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import type { JsonObject, JsonValue } from '../../../src/domain/json-value.ts';
import {
  attestationKeyFault,
  preAuthenticationEncoding,
  verifyAttestation,
} from '../../../src/knowledge/attestations/verify-attestation.ts';
import { recordKey } from '../../../src/knowledge/store/record-key.ts';
import { FakeClock } from '../../fakes/clock.ts';
import { MemoryDisk } from '../../fakes/memory-disk.ts';
import { testStores } from '../stores.ts';
import {
  builder,
  buildType,
  digest,
  envelope,
  p256,
  predicate,
  type Signer,
  signed,
  signer,
  statement,
} from './attestations.ts';

const clock = new FakeClock();
const parseJson = (text: Uint8Array): JsonValue => JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(text));
const check = (document: JsonValue, ...signers: Signer[]) =>
  verifyAttestation(document, clock.now(), { keys: signers.map(({ key }) => key), parseJson });
const refused = { code: 'attestation_invalid', status: 422 };

describe('DSSE', () => {
  it('signs the published vector', () => {
    const body = Buffer.from('hello world');
    const encoded = preAuthenticationEncoding('http://example.com/HelloWorld', body);
    expect(encoded.toString()).toBe('DSSEv1 29 http://example.com/HelloWorld 11 hello world');
    const key = createPublicKey({
      format: 'jwk',
      key: {
        ...{ kty: 'EC', crv: 'P-256' },
        x: 'Z805D3eqNZywjCI19lInBJOp7YMrCrzAH3CVTAOQ0jg',
        y: 'DHgr1U4mkSWkT0Qzr_FDLOlOErynOqZ6yAzqEmCN33Q',
      },
    });
    const signature = 'A3JqsQGtVsJ2O2xqrI5IcnXip5GToJ3F+FnZ+O88SjtR6rDAajabZKciJTfUiHqJPcIAriEGAHTVeCUjW2JIZA==';
    const bytes = Buffer.from(signature, 'base64');
    expect(verify('sha256', encoded, { key, dsaEncoding: 'ieee-p1363' }, bytes)).toBe(true);
    expect(
      verify(
        'sha256',
        preAuthenticationEncoding('http://example.com/HelloWorl', body),
        { key, dsaEncoding: 'ieee-p1363' },
        bytes,
      ),
    ).toBe(false);
  });

  it('counts bytes, not characters', () => {
    expect(preAuthenticationEncoding('é', Buffer.from('ü')).toString()).toBe('DSSEv1 2 é 2 ü');
  });

  const rsa = generateKeyPairSync('rsa', { modulusLength: 2048 });
  const pairs: readonly (readonly [string, Signer])[] = [
    ['P-256, DER', signer('k')],
    ['P-256, r and s', signer('k', { signature: 'ieee-p1363' })],
    ['P-384', signer('k', {}, generateKeyPairSync('ec', { namedCurve: 'P-384' }))],
    ['P-521', signer('k', {}, generateKeyPairSync('ec', { namedCurve: 'P-521' }))],
    ['Ed25519', signer('k', {}, generateKeyPairSync('ed25519'))],
    ['RSA, PKCS #1 v1.5', signer('k', {}, rsa)],
  ];
  it.each(pairs)('verifies %s, and nothing that was changed by a bit', (_name, one) => {
    const document = envelope(statement(), one);
    expect(check(document, one)).toHaveLength(1);
    const [{ sig }] = document['signatures'] as [{ sig: string }];
    const bytes = Buffer.from(sig, 'base64');
    for (let i = 0; i < bytes.length; i += 7) {
      const bent = Buffer.from(bytes);
      bent[i] = (bent[i] ?? 0) ^ 1;
      expect(() => check({ ...document, signatures: [{ sig: bent.toString('base64') }] }, one)).toThrow(
        expect.objectContaining(refused),
      );
    }
  });

  it('verifies RSA with PSS', () => {
    const one = signer('k', {}, rsa);
    const payload = Buffer.from(JSON.stringify(statement()));
    const sig = sign('sha256', preAuthenticationEncoding('application/vnd.in-toto+json', payload), {
      ...{ key: rsa.privateKey, padding: constants.RSA_PKCS1_PSS_PADDING, saltLength: 32 },
    });
    const document = { ...envelope(statement()), signatures: [{ sig: sig.toString('base64') }] };
    expect(check(document, one)).toHaveLength(1);
  });

  it('takes both forms of base64, padded or not, and nothing else', () => {
    const one = signer('k');
    const document = envelope(statement(), one);
    const [{ sig }] = document['signatures'] as [{ sig: string }];
    const payload = document['payload'] as string;
    const forms: ((text: string) => string)[] = [
      (text) => text,
      (text) => text.replace(/=+$/, ''),
      (text) => text.replaceAll('+', '-').replaceAll('/', '_'),
      (text) => Buffer.from(text, 'base64').toString('base64url'),
    ];
    for (const form of forms) {
      expect(check({ ...document, payload: form(payload), signatures: [{ sig: form(sig) }] }, one)).toHaveLength(1);
    }
    for (const bad of [`${payload} `, `${payload}\n`, `!${payload}`, '', 7, null]) {
      expect(() => check({ ...document, payload: bad }, one)).toThrow(expect.objectContaining(refused));
      expect(() => check({ ...document, signatures: [{ sig: bad }] }, one)).toThrow(expect.objectContaining(refused));
    }
  });

  it('takes the key id for the hint it is', () => {
    const [one, other] = [signer('one'), signer('other')];
    const document = envelope(statement(), one);
    const [{ sig }] = document['signatures'] as [{ sig: string }];
    expect(check({ ...document, signatures: [{ keyid: 'other', sig }] }, other, one)[0]?.keyId).toBe('one');
    expect(check({ ...document, signatures: [{ sig }] }, one)[0]?.keyId).toBe('one');
  });

  it('needs one signature of a configured key, among others or not', () => {
    const [one, stranger] = [signer('one'), signer('stranger')];
    expect(check(envelope(statement(), stranger, one), one)).toHaveLength(1);
    expect(() => check(envelope(statement(), stranger), one)).toThrow('no configured key');
    expect(() => check(envelope(statement(), one))).toThrow('no configured key');
    expect(() => check(envelope(statement()), one)).toThrow('signatures');
  });

  it('signs the type too: a signature over another type does not verify', () => {
    const one = signer('k');
    const payload = Buffer.from(JSON.stringify(statement()));
    const sig = signed(one, payload, 'application/json').toString('base64');
    expect(() => check({ ...envelope(statement()), signatures: [{ sig }] }, one)).toThrow('no configured key');
    expect(() => check({ ...envelope(statement(), one), payloadType: 'application/json' }, one)).toThrow('payloadType');
  });

  it('is bounded', () => {
    const one = signer('k');
    const large = envelope(statement({ filler: 'x'.repeat(256 * 1024) }), one);
    expect(() => check(large, one)).toThrow('larger');
    const document = envelope(statement(), one);
    const many = Array.from({ length: 17 }, () => (document['signatures'] as readonly JsonValue[])[0] ?? null);
    expect(() => check({ ...document, signatures: many }, one)).toThrow('signatures');
  });

  it('refuses whatever is no envelope', () => {
    const one = signer('k');
    fc.assert(
      fc.property(fc.jsonValue(), (value) => {
        expect(() => check(value as JsonValue, one)).toThrow(expect.objectContaining(refused));
      }),
    );
  });
});

describe('the statement', () => {
  const one = signer('k');
  const of = (changes: JsonObject) => check(envelope(statement(changes), one), one);

  it('becomes what a policy is shown', () => {
    expect(of({})).toEqual([
      {
        ...{ type: 'https://slsa.dev/provenance/v1', builder, buildType, digest: `sha256:${digest}`, keyId: 'k' },
        sourceRepository: 'https://github.com/acme/payments',
        finishedAt: Date.parse('2026-11-02T09:58:00Z'),
        receivedAt: clock.now(),
      },
    ]);
  });

  it('about several artifacts becomes one attestation each', () => {
    const subject = ['a', 'b', 'b', 'c'].map((letter) => ({ digest: { sha256: letter.repeat(64), sha512: 'x' } }));
    expect(of({ subject: [...subject, { uri: 'pkg:x' }] }).map((one) => one.digest)).toEqual(
      ['a', 'b', 'c'].map((letter) => `sha256:${letter.repeat(64)}`),
    );
  });

  const wrong: readonly (readonly [string, JsonObject])[] = [
    ['of another version', { _type: 'https://in-toto.io/Statement/v0.1' }],
    ['about nothing', { subject: [] }],
    ['about nothing named by SHA-256', { subject: [{ name: 'x', digest: { sha1: 'a'.repeat(40) } }] }],
    ['with an upper-case digest', { subject: [{ digest: { sha256: 'A'.repeat(64) } }] }],
    ['with a short digest', { subject: [{ digest: { sha256: 'a'.repeat(63) } }] }],
    ['with a digest of another type', { subject: [{ digest: { sha256: 7 } }] }],
    ['about too much', { subject: Array.from({ length: 101 }, () => ({ digest: { sha256: digest } })) }],
    ['with another predicate', { predicateType: 'https://slsa.dev/verification_summary/v1' }],
    ['with none', { predicate: null }],
    ['without a build definition', { predicate: { runDetails: { builder: { id: builder } } } }],
    ['without run details', { predicate: { buildDefinition: { buildType, externalParameters: {} } } }],
    ['without a builder', { predicate: predicate({ details: { builder: {} } }) }],
    ['of another builder', { predicate: predicate({ details: { builder: { id: `${builder}/` } } }) }],
    ['of another build type', { predicate: predicate({ definition: { buildType: 'https://x.example/v1' } }) }],
    ['without external parameters', { predicate: predicate({ definition: { externalParameters: null } }) }],
    [
      'with an unexpected parameter',
      { predicate: predicate({ definition: { externalParameters: { inputs: { x: 1 } } } }) },
    ],
    [
      'with __proto__ as a parameter',
      { predicate: predicate({ definition: { externalParameters: JSON.parse('{"__proto__":1}') } }) },
    ],
    [
      'with a source that is no text',
      { predicate: predicate({ definition: { externalParameters: { workflow: { repository: 7 } } } }) },
    ],
    [
      'that finished at no time',
      { predicate: predicate({ details: { builder: { id: builder }, metadata: { finishedOn: 'x' } } }) },
    ],
  ];
  it.each(wrong)('%s does not verify', (_name, changes) => {
    expect(() => of(changes)).toThrow(expect.objectContaining(refused));
  });

  it.each(['', '[]', 'null', '{', '"x"', '\ufeff{}'])('that is %j does not verify', (text) => {
    expect(() => check(envelope(text, one), one)).toThrow(expect.objectContaining(refused));
  });

  it('may leave parameters unset, null or empty; that is the same', () => {
    const parameters = [{}, { inputs: null }, { inputs: {} }, { inputs: [] }, { inputs: '', workflow: null }];
    for (const externalParameters of parameters) {
      expect(of({ predicate: predicate({ definition: { externalParameters } }) })).toHaveLength(1);
    }
  });

  it.each([
    ['text', 'git+https://x.example/r', 'git+https://x.example/r'],
    ['a descriptor', { uri: 'git+https://x.example/r', digest: {} }, 'git+https://x.example/r'],
    ['a descriptor without a uri', { digest: { gitCommit: 'c' } }, undefined],
  ] as const)('names its source as %s', (_name, source, repository) => {
    const wide = signer('k', { parameters: ['source'] });
    const document = envelope(
      statement({ predicate: predicate({ definition: { externalParameters: { source } } }) }),
      wide,
    );
    expect(check(document, wide)[0]?.sourceRepository).toBe(repository);
  });

  it('counts if any key that signed it may say so', () => {
    const narrow = signer('narrow', { builders: ['https://other.example'] });
    expect(check(envelope(statement(), narrow, one), narrow, one)[0]?.keyId).toBe('k');
    expect(() => check(envelope(statement(), narrow), narrow, one)).toThrow('may not speak for its builder');
  });

  it('is not read before it verified', () => {
    let reads = 0;
    const keys = [one.key];
    const options = {
      keys,
      parseJson: (text: Uint8Array) => {
        reads += 1;
        return parseJson(text);
      },
    };
    expect(() => verifyAttestation(envelope(statement(), signer('x')), clock.now(), options)).toThrow();
    expect(reads).toBe(0);
  });
});

describe('a key that is no key for this', () => {
  const rsaPublic = (modulusLength: number, publicExponent?: number) =>
    generateKeyPairSync('rsa', { modulusLength, ...(publicExponent !== undefined && { publicExponent }) }).publicKey;
  it.each([
    ['a secret', createSecretKey(Buffer.alloc(32)), 'not a public key'],
    ['a private key', p256().privateKey, 'not a public key'],
    ['RSA of 1024 bits', rsaPublic(1024), '2048'],
    ['a foreign curve', generateKeyPairSync('ec', { namedCurve: 'secp256k1' }).publicKey, 'curve'],
    ['X25519', generateKeyPairSync('x25519').publicKey, 'kind'],
    ['RSA for PSS alone', generateKeyPairSync('rsa-pss', { modulusLength: 2048 }).publicKey, 'kind'],
  ])('%s is named', (_name, key, fault) => {
    expect(attestationKeyFault(key)).toContain(fault);
  });

  it('all others are taken', () => {
    for (const curve of ['P-256', 'P-384', 'P-521']) {
      expect(attestationKeyFault(generateKeyPairSync('ec', { namedCurve: curve }).publicKey)).toBeUndefined();
    }
    expect(attestationKeyFault(generateKeyPairSync('ed25519').publicKey)).toBeUndefined();
    expect(attestationKeyFault(rsaPublic(2048))).toBeUndefined();
  });
});

describe('attestations that are kept', () => {
  const one = signer('k');
  const caps = { devices: 1, subjects: 1, sessions: 1, workloads: 1, grants: 1, attestations: 5 };
  const withKeys = (...signers: Signer[]) => ({
    caps,
    attestations: { keys: signers.map(({ key }) => key), parseJson },
  });
  const about = (letters: string, finishedOn = '2026-11-02T09:58:00Z', by = one) =>
    envelope(
      statement({
        subject: [...letters].map((letter) => ({ digest: { sha256: letter.repeat(64) } })),
        predicate: predicate({ details: { builder: { id: builder }, metadata: { finishedOn } } }),
      }),
      by,
    );
  const sha = (letter: string): string => `sha256:${letter.repeat(64)}`;

  it('are found by digest, after a restart too', async () => {
    const stores = await testStores(withKeys(one));
    await stores.attestations.attach(about('ab'));
    const restarted = await stores.restart();
    for (const letter of 'ab')
      expect(restarted.attestations.of(sha(letter))).toEqual(stores.attestations.of(sha(letter)));
    expect(restarted.attestations.of(sha('a'))).toHaveLength(1);
    expect(restarted.attestations.of(sha('c'))).toEqual([]);
    expect(stores.counted).toEqual(['attestation kept']);
  });

  it('never include one that does not verify', async () => {
    const stores = await testStores(withKeys(one));
    const forged = { ...about('a'), signatures: (about('b')['signatures'] ?? null) as JsonValue };
    await expect(stores.attestations.attach(forged)).rejects.toMatchObject(refused);
    expect(stores.attestations.of(sha('a'))).toEqual([]);
    expect(stores.disk.commits).toBe(0);
    expect(stores.counted).toEqual(['attestation refused']);
  });

  it('keep their first day when they are sent again', async () => {
    const stores = await testStores(withKeys(one));
    const [first] = await stores.attestations.attach(about('a'));
    stores.clock.advance(1000);
    await expect(stores.attestations.attach(about('a'))).resolves.toEqual([first]);
    expect(stores.attestations.of(sha('a'))).toEqual([first]);
  });

  it('make room for newer ones, the oldest first, after a restart too', async () => {
    let stores = await testStores(withKeys(one));
    for (const letter of 'abc') {
      await stores.attestations.attach(about(letter));
      stores.clock.advance(1);
    }
    stores = await stores.restart();
    await stores.attestations.attach(about('def'));
    expect([...'abcdef'].map((letter) => stores.attestations.of(sha(letter)).length)).toEqual([0, 1, 1, 1, 1, 1]);
    expect(stores.attestations.count).toBe(5);
  });

  it('are bounded for one artifact', async () => {
    const stores = await testStores({ ...withKeys(one), caps: { ...caps, attestations: 100 } });
    for (let i = 0; i < 40; i += 1) {
      await stores.attestations.attach(about('a', `2026-11-02T09:58:${String(i).padStart(2, '0')}Z`));
    }
    const kept = stores.attestations.of(sha('a'));
    expect(kept).toHaveLength(32);
    expect(kept.at(-1)?.finishedAt).toBe(Date.parse('2026-11-02T09:58:39Z'));
  });

  it('are bounded for one artifact when many come at once, by whichever keys, and the newest stay', async () => {
    const other = signer('other');
    const stores = await testStores({ ...withKeys(one, other), caps: { ...caps, attestations: 100 } });
    const minute = (index: number): string => `2026-11-02T09:${String(index).padStart(2, '0')}:00Z`;
    const attach = (index: number): Promise<unknown> =>
      stores.attestations.attach(about('a', minute(index), index % 2 === 0 ? one : other));
    const finished = (): (number | undefined)[] => stores.attestations.of(sha('a')).map((kept) => kept.finishedAt);
    const expected = (first: number, last: number): number[] =>
      Array.from({ length: last - first + 1 }, (_, index) => Date.parse(minute(first + index)));
    for (let index = 0; index < 5; index += 1) await attach(index);
    await Promise.all(Array.from({ length: 40 }, (_, index) => attach(5 + index)));
    expect(finished()).toEqual(expected(13, 44));
    await Promise.all([attach(45), attach(13), attach(46)]);
    expect(finished()).toEqual([...expected(16, 45), ...expected(13, 13), ...expected(46, 46)]);
    expect(stores.attestations.count).toBe(32);
  });

  it('go back under the cap with the next one where an older version kept more', async () => {
    const disk = new MemoryDisk();
    const wide = { ...withKeys(one), caps: { ...caps, attestations: 100 } };
    const stores = await testStores(wide, new FakeClock(), disk);
    await stores.attestations.attach(about('a'));
    const [text = ''] = disk.records.values();
    for (let finishedAt = 0; finishedAt < 50; finishedAt += 1) {
      const kept = { ...JSON.parse(text), finished_at: finishedAt };
      const parts = [kept.type, kept.builder, kept.build_type, kept.digest, kept.key_print, kept.source_repository];
      disk.records.set(recordKey('attestation', [...parts, String(finishedAt)]), JSON.stringify(kept));
    }
    const restarted = await stores.restart();
    expect(restarted.attestations.of(sha('a'))).toHaveLength(51);
    await restarted.attestations.attach(about('a', '2026-11-02T09:59:00Z'));
    expect(restarted.attestations.of(sha('a'))).toHaveLength(32);
  });

  it('count no longer when their key is gone, is another key of that name, or may say less', async () => {
    const disk = new MemoryDisk();
    const stores = await testStores(withKeys(one), new FakeClock(), disk);
    await stores.attestations.attach(about('a'));
    const seenWith = async (...signers: Signer[]): Promise<number> =>
      (await testStores(withKeys(...signers), new FakeClock(), disk)).attestations.of(sha('a')).length;
    await expect(seenWith(one)).resolves.toBe(1);
    await expect(seenWith()).resolves.toBe(0);
    await expect(seenWith(signer('k'))).resolves.toBe(0);
    await expect(seenWith({ ...one, key: { ...one.key, builders: ['https://other.example'] } })).resolves.toBe(0);
    await expect(seenWith({ ...one, key: { ...one.key, buildTypes: ['https://other.example'] } })).resolves.toBe(0);
    await expect(seenWith(one)).resolves.toBe(1);
  });

  it('are not read from half a record', async () => {
    const stores = await testStores(withKeys(one));
    await stores.attestations.attach(about('a'));
    const [entry] = [...stores.disk.records];
    if (entry === undefined) throw new Error('no record');
    const [key, text] = entry;
    for (const name of ['type', 'builder', 'build_type', 'digest', 'key_id', 'key_print', 'received_at']) {
      stores.disk.records.set(key, JSON.stringify({ ...JSON.parse(text), [name]: null }));
      expect((await stores.restart()).attestations.of(sha('a'))).toEqual([]);
    }
  });
});
