/**
 * Claim (docs/architecture.md): what a decision costs that asks a server, beside the bare exchange and beside the same
 * evaluation with the reply at hand. CPU time of the deciding thread; the server is on another.
 */
import { once } from 'node:events';
import { request } from 'node:http';
import { Worker } from 'node:worker_threads';
import { readBundle } from '../src/bundle/reading/read-bundle.ts';
import { epochMs } from '../src/domain/time.ts';
import { OutboundCalls } from '../src/outbound/outbound-calls.ts';
import type { Draws } from '../src/request/evaluate/draws.ts';
import { evaluate } from '../src/request/evaluate/evaluate.ts';
import { PolicyModule } from '../src/request/evaluate/policy-module.ts';
import { realTimers } from '../src/system/real-timers.ts';
import { compilePolicy } from '../test/support/compile-policy.ts';
import { patientLimits } from '../test/support/patient-limits.ts';

const entrypoint = 'authz/decision';
const server = new Worker(
  `const { createServer } = require('node:http');
   const server = createServer((_request, response) => {
     response.writeHead(200, { 'content-type': 'application/json' }).end('{"yes":true}');
   });
   server.listen(0, '127.0.0.1', () => require('node:worker_threads').parentPort.postMessage(server.address().port));`,
  { eval: true },
);
const [port] = (await once(server, 'message')) as [number];
const url = `http://127.0.0.1:${port}/`;

const bundle = await readBundle(await compilePolicy('outside', [entrypoint]), {
  inflatedBytes: 100_000_000,
  members: 1_000,
});
const limits = { ...patientLimits, memoryPages: 4_096, resultBytes: 1_048_576 };
const policy = await PolicyModule.load(bundle, { ...limits, outside: ['http.send', 'net.lookup_ip_addr'] });
const calls = new OutboundCalls({
  http: { origins: new Set([new URL(url).origin]), timeoutMs: 20_000, responseBytes: 65_536 },
  lookup: undefined,
  questionsMax: 4,
  waitMs: 20_000,
  timers: realTimers,
  inFlightMax: 32,
  asked: () => undefined,
});
const facts = {
  entrypoint,
  input: JSON.stringify({ context: { requests: [{ method: 'get', url }] } }),
  now: epochMs(1_000),
  caller: { id: 'a', method: 'none', claims: {}, ageS: 0, relay: false },
  grants: [],
  signalAgesS: {},
} as unknown as Parameters<typeof evaluate>[1];
const newlyGiven = (): Draws => ({ now: facts.now, seed: 'bench', isAsking: true });

function exchanged(): Promise<void> {
  return new Promise((resolve, reject) => {
    request(url, { agent: false }, (response) => response.on('end', resolve).resume())
      .on('error', reject)
      .end();
  });
}

const asked = newlyGiven();
await evaluate(policy, facts, asked, calls);

const ways: Readonly<Record<string, () => unknown>> = {
  'the exchange alone': exchanged,
  'the decision, asking': () => evaluate(policy, facts, newlyGiven(), calls),
  'the decision, the reply at hand': () => evaluate(policy, facts, { ...newlyGiven(), ...asked }, undefined),
};
const best = new Map<string, number>();
for (let round = 0; round < 8; round += 1) {
  for (const [name, call] of Object.entries(ways)) {
    const calls = 500;
    const before = process.threadCpuUsage();
    for (let index = 0; index < calls; index += 1) await call();
    const { user, system } = process.threadCpuUsage(before);
    best.set(name, Math.min(best.get(name) ?? Number.POSITIVE_INFINITY, (user + system) / calls));
  }
}
console.log('one question to a server on this machine');
for (const [name, us] of best) console.log(`  ${name.padEnd(44)} ${us.toFixed(0).padStart(8)} µs`);
await server.terminate();
