import { beforeAll, describe, expect, it } from '@jest/globals';
import { readBundle } from '../../../src/bundle/reading/read-bundle.ts';
import { bundleRevision } from '../../../src/domain/bundle.ts';
import type { OutboundBuiltin } from '../../../src/domain/outbound.ts';
import { PolicyModule } from '../../../src/request/evaluate/policy-module.ts';
import { compilePolicy } from '../../support/compile-policy.ts';
import { archiveLimits, policyLimits } from '../../support/testbed.ts';

const entrypoints = ['authz/decision', 'blocked/decision', 'outside/addresses', 'outside/quiet'];
let wasm: Uint8Array;

beforeAll(async () => {
  ({ wasm } = await readBundle(await compilePolicy('outside', entrypoints), archiveLimits));
});

async function refusal(bytes: Uint8Array, ...outside: readonly OutboundBuiltin[]) {
  const source = { wasm: bytes, dataText: '{}', revision: bundleRevision('r') };
  return PolicyModule.load(source, { ...policyLimits, outside }).then(
    () => 'taken',
    (cause: Error) => cause.message,
  );
}

/** Without its custom sections, which hold the names. */
function unnamed(bytes: Uint8Array): Uint8Array {
  const pieces: Uint8Array[] = [bytes.subarray(0, 8)];
  for (let at = 8; at < bytes.length; ) {
    const start = at;
    const id = bytes[at];
    at += 1;
    let length = 0;
    for (let shift = 0; ; shift += 7) {
      const byte = bytes[at] ?? 0;
      at += 1;
      length += (byte & 0x7f) * 2 ** shift;
      if (byte < 0x80) break;
    }
    at += length;
    if (id !== 0) pieces.push(bytes.subarray(start, at));
  }
  return Buffer.concat(pieces);
}

describe('a bundle that calls what it may not', () => {
  it('is refused in the name of the rules that call it, with what to do in their place', async () => {
    const message = await refusal(wasm, 'net.lookup_ip_addr');
    // The rule `decision` of `blocked` only leads to the one that calls.
    expect(message).toMatch(/^the policy calls http\.send in data\.authz\.decision, data\.blocked\.blocked: /);
    expect(message).toMatch(/signal.*data.*decision\.builtins\.http_send$/);
  });

  it('is refused for the one that is not allowed', async () => {
    expect(await refusal(wasm, 'http.send')).toMatch(
      /^the policy calls net\.lookup_ip_addr in data\.outside\.addresses: .*decision\.builtins\.lookup_ip_addr$/,
    );
    expect(await refusal(wasm, 'http.send', 'net.lookup_ip_addr')).toBe('taken');
  });

  it('is refused without names where its own were taken out, or are none', async () => {
    const bare = unnamed(wasm);
    expect(bare.length).toBeLessThan(wasm.length);
    expect(await refusal(bare, 'net.lookup_ip_addr')).toMatch(/^the policy calls http\.send: /);
    const names = Buffer.concat([Buffer.from([4]), Buffer.from('name'), Buffer.from([1, 200])]);
    const broken = Buffer.concat([bare, Buffer.from([0, names.length]), names]);
    expect(await refusal(broken, 'net.lookup_ip_addr')).toMatch(/^the policy calls http\.send: /);
  });
});
