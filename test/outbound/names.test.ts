import type { LookupAddress } from 'node:dns';
import { afterEach, describe, expect, it } from '@jest/globals';
import { Names } from '../../src/outbound/names.ts';
import { OutboundCalls, type OutboundCallsOptions } from '../../src/outbound/outbound-calls.ts';
import { realTimers } from '../../src/system/real-timers.ts';
import { type AskedServer, askedServer, json } from '../support/asked-server.ts';
import { eventually } from '../support/eventually.ts';
import { asked, Testbed } from '../support/testbed.ts';

const opened: { close(): Promise<void> }[] = [];
let bed: Testbed;

afterEach(async () => {
  for (const one of opened.splice(0)) await one.close();
});

async function open(change: Partial<OutboundCallsOptions> = {}): Promise<OutboundCalls> {
  const calls = new OutboundCalls({
    http: undefined,
    lookup: { names: new Set(['localhost', 'db.acme.example', 'other.acme.example']), timeoutMs: 20_000 },
    questionsMax: 4,
    waitMs: 20_000,
    timers: realTimers,
    inFlightMax: 8,
    asked: () => undefined,
    ...change,
  });
  bed = await Testbed.open({
    policy: 'outside',
    entrypoints: ['authz/decision', 'outside/addresses'],
    outside: calls,
  });
  opened.push(bed);
  return calls;
}

async function addressesOf(name: string): Promise<unknown> {
  const body = JSON.stringify({ input: JSON.parse(asked({ context: { name } })) as object });
  const answer = await bed.ask(body, { surface: 'opa', entrypoint: 'outside/addresses' });
  const { result, warning } = JSON.parse(answer.body) as { result?: unknown; warning?: { code: string } };
  return warning?.code ?? result;
}

function failing(code: string): () => Promise<never> {
  return async () => {
    throw Object.assign(new Error('CANARY'), { code });
  };
}

describe('net.lookup_ip_addr, allowed', () => {
  it('gives the addresses that this machine knows a name by, and records them', async () => {
    await open();
    const addresses = await addressesOf('localhost');
    expect(addresses).toContain('127.0.0.1');
    expect((await bed.recorded())[0]?.['nd_builtin_cache']).toEqual({
      'net.lookup_ip_addr': { '["localhost"]': addresses },
    });
  });

  it('gives each address once, as a set', async () => {
    const found = ['10.0.0.2', '2001:db8::1', '10.0.0.2'];
    await open({ resolve: async () => found.map((address) => ({ address, family: address.includes(':') ? 6 : 4 })) });
    expect(await addressesOf('DB.acme.example')).toEqual(['10.0.0.2', '2001:db8::1']);
  });

  it('is undefined for a name that there is not, as in OPA', async () => {
    await open({ resolve: failing('ENOTFOUND') });
    expect(await addressesOf('db.acme.example')).toBeUndefined();
    expect((await bed.recorded())[0]).toMatchObject({
      effect: 'query',
      nd_builtin_cache: { 'net.lookup_ip_addr': { '["db.acme.example"]': { error: { code: 'not_found' } } } },
    });
  });

  it('P09 closes where no name server answers, in time or at all', async () => {
    await open({ resolve: failing('EAI_AGAIN') });
    expect(await addressesOf('db.acme.example')).toBe('outside_unavailable');
    await open({
      lookup: { names: new Set(['db.acme.example']), timeoutMs: 50 },
      resolve: () => new Promise(() => undefined),
    });
    expect(await addressesOf('db.acme.example')).toBe('outside_unavailable');
    expect(await bed.recordText()).not.toContain('CANARY');
  });

  it('looks up no name that configuration does not give', async () => {
    let lookups = 0;
    await open({
      resolve: async () => {
        lookups += 1;
        return [];
      },
    });
    for (const name of ['acme.example', 'x.db.acme.example', '', 'db.acme.example.']) {
      expect(await addressesOf(name)).toBe('policy_failed');
    }
    await open({ lookup: undefined });
    expect(await addressesOf('db.acme.example')).toBe('policy_failed');
    expect(lookups).toBe(0);
  });

  it('P09 asks for a name once where many ask, and for no more than two names at a time', async () => {
    const held = new Map<string, (found: readonly LookupAddress[]) => void>();
    const names = ['a', 'b', 'c'];
    await open({
      lookup: { names: new Set(names), timeoutMs: 20_000 },
      resolve: (name) => {
        expect(held.has(name)).toBe(false);
        return new Promise((resolve) => held.set(name, resolve));
      },
    });
    const answers = [...names, ...names].map((name) => addressesOf(name));
    await eventually(() => held.size === 2);
    await new Promise((resolve) => setImmediate(resolve));
    expect([...held.keys()]).toEqual(['a', 'b']);
    held.get('a')?.([{ address: '10.0.0.1', family: 4 }]);
    await eventually(() => held.size === 3);
    held.get('b')?.([]);
    held.get('c')?.([]);
    expect(await Promise.all(answers)).toEqual([['10.0.0.1'], [], [], ['10.0.0.1'], [], []]);
  });

  it('P09 gives the place of a name to the one that waits, not to one that comes in that moment', async () => {
    const held = new Map<string, () => void>();
    const names = new Names(
      (name) => new Promise((resolve) => held.set(name, () => resolve([{ address: '10.0.0.1', family: 4 }]))),
    );
    const { signal } = new AbortController();
    const first = names.lookup('a', signal);
    const others = [names.lookup('b', signal), names.lookup('c', signal)];
    const then = first.then(() => names.lookup('d', signal));
    held.get('a')?.();
    // In every turn in which the place could be free for a moment, somebody comes for it.
    for (let turn = 0; turn < 10; turn += 1) {
      await Promise.resolve();
      others.push(names.lookup(`e${turn}`, signal));
    }
    await new Promise((resolve) => setImmediate(resolve));
    expect([...held.keys()]).toEqual(['a', 'b', 'c']);
    for (let left = others.length; left > 0; left -= 1) {
      for (const done of held.values()) done();
      await new Promise((resolve) => setImmediate(resolve));
    }
    expect((await Promise.all([then, ...others])).map(({ kind }) => kind)).toEqual(Array(13).fill('found'));
  });
});

describe('the name of a server', () => {
  async function decidedAt(server: AskedServer, host: string, resolved: string): Promise<unknown> {
    const origin = `http://${host}:${server.port}`;
    await open({
      http: { origins: new Set([origin]), timeoutMs: 20_000, responseBytes: 1_024 },
      resolve: async () => [{ address: resolved, family: resolved.includes(':') ? 6 : 4 }],
    });
    const { body } = await bed.ask(asked({ context: { requests: [{ method: 'get', url: origin }] } }));
    return (JSON.parse(body) as { decision: boolean }).decision;
  }

  it.each([
    '127.0.0.1',
    '127.9.9.9',
    '0.0.0.0',
    '169.254.169.254',
    '239.1.1.1',
    '::1',
    '::',
    '::ffff:127.0.0.1',
    '::ffff:169.254.169.254',
    'fd00:ec2::254',
    'fe80::1%lo',
  ])('leads to no machine nearby, whoever keeps the name: %s', async (address) => {
    const server = await askedServer((_request, response) => json(response, { yes: true }));
    opened.push(server);
    expect(await decidedAt(server, 'cmdb.acme.example', address)).toBe(false);
    expect((await bed.recorded())[0]?.error?.message).toContain('which is not allowed');
    expect(server.requests).toEqual([]);
  });

  it('leads where it is said to lead when it is looked up, and is not asked for again', async () => {
    const server = await askedServer((_request, response) => json(response, { yes: true }));
    opened.push(server);
    expect(await decidedAt(server, 'asked.localhost', '127.0.0.1')).toBe(true);
    expect(server.requests[0]?.headers).toMatchObject({ host: `asked.localhost:${server.port}` });
  });
});
