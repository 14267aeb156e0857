import { execFile } from 'node:child_process';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { promisify } from 'node:util';
import { type Answer, asking, isObject, type Question } from '../pep/answer.ts';
import { type Event, TrailPep } from '../pep/trail.ts';
import { shortId } from '../play.ts';
import { identities, withoutOverrides } from '../sidecar-process.ts';
import type { Stage } from './stage.ts';

const asked: Question = {
  subject: { type: 'user', id: identities.auditor },
  action: { name: 'read' },
  resource: { type: 'decision_log', id: 'starter' },
};

export async function trailCase(stage: Stage): Promise<void> {
  const { play, sidecar, control } = stage;
  await control.report('idp', 'subject', identities.auditor, {
    risk_level: 'low',
    assurance: { namespace: 'NIST-AAL', current_level: 'nist-aal2' },
  });
  const ask = asking({ socket: sidecar.socketOf('auditor') });
  let decided: Answer | undefined;
  // What the answer permits is what is shown, and this decision is part of the trail itself.
  const pep = new TrailPep(async (question) => {
    decided = await ask(question);
    play.answered(question, decided, { effect: 'constrain', codes: ['unmasked_allowed'] });
    await written(sidecar.recordFile, play.decisionIds.length);
    return decided;
  }, sidecar.recordFile);

  play.tell('Reading shows what callers wrote masked; without the mask it takes a grant.');
  const { outcome } = await pep.read(asked);
  if ('refused' in outcome) {
    play.expect(`the trail is handed out, not ${outcome.refused}`, false);
    return;
  }
  const { events, masked } = outcome;
  const explained = events.map((event) => ({ id: String(event['decision_id']), why: explanation(event) }));
  for (const [index, event] of events.entries()) play.show(lineOf(event, explained[index]?.why));

  const ids = explained.map(({ id }) => id);
  play.expect(
    `each of the ${play.decisionIds.length} decisions of this run is on record once, and no other`,
    [...ids].sort().join() === [...play.decisionIds].sort().join(),
  );
  play.expect(
    'each says why: the requirements not met, or that all were',
    explained.every(({ why }) => why !== undefined),
  );
  play.expect(
    `masked: ${masked.join(', ')}`,
    masked.length > 0 && events.every((event) => isObject(event['input']) && !Object.hasOwn(event['input'], 'context')),
  );

  const denied = events.find((event) => event['effect'] === 'deny');
  if (denied === undefined) {
    play.expect('there is a deny to explain', false);
    return;
  }
  play.tell('One decision explained in full: postern explain --decision <id> replays it from the record.');
  const text = await replayed(stage, String(denied['decision_id']));
  play.show(text.trimEnd());
  play.expect('the replay comes to the recorded result', text.includes('replayed on the same bundle: the same result'));
}

/** Lines are written together, a moment after the answer. */
async function written(file: string, count: number): Promise<void> {
  for (let tries = 0; tries < 100; tries += 1) {
    const lines = (await readFile(file, 'utf8')).split('\n').length - 1;
    if (lines >= count) return;
    await sleep(50);
  }
}

/** One sentence from the event alone; undefined if it does not say enough for one. */
function explanation(event: Event): string | undefined {
  const { effect, reasons, result } = event;
  if (!Array.isArray(reasons)) return undefined;
  const codes = reasons.map((reason) => (isObject(reason) ? reason['code'] : undefined));
  if (!codes.every((code) => typeof code === 'string' && code !== '')) return undefined;
  if (codes.length > 0) return `not met: ${codes.join(', ')}`;
  const met = isObject(result) ? result['met'] : undefined;
  return effect === 'allow' && Array.isArray(met) && met.length > 0 ? `all ${met.length} requirements met` : undefined;
}

function lineOf(event: Event, why: string | undefined): string {
  const input = isObject(event['input']) ? event['input'] : {};
  const named = (member: string, name: string) => {
    const value = input[member];
    return isObject(value) ? shortId(String(value[name])) : '?';
  };
  const time = String(event['timestamp']).slice(11, 23);
  return `${time} ${String(event['effect']).padEnd(9)} ${named('subject', 'id')} ${named('action', 'name')} ${named('resource', 'id')}; ${why ?? 'says nothing of why'}`;
}

async function replayed({ sidecar, root, folder }: Stage, decisionId: string): Promise<string> {
  const main = join(root, 'dist/main.js');
  const args = [main, 'explain', '--config', sidecar.configFile, '--decision', decisionId, '--no-color'];
  const { stdout } = await promisify(execFile)(process.execPath, args, {
    cwd: folder,
    env: withoutOverrides(process.env),
  });
  return stdout;
}
