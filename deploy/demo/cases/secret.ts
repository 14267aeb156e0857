import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { asking, type Question } from '../pep/answer.ts';
import { type SecretOutcome, SecretPep } from '../pep/secrets.ts';
import { identities, node } from '../sidecar-process.ts';
import type { Stage } from './stage.ts';

const key = 'billing/stripe-key';
/** Not a key of anybody's. */
const content = 'demo-value-4711';

function asked(secret: string, transaction: string): Question {
  return {
    subject: { type: 'service_account', id: identities.billing },
    action: { name: 'read' },
    resource: { type: 'secret', id: secret },
    context: { transaction },
  };
}

export async function secretCase({ play, sidecar, control, folder }: Stage): Promise<void> {
  const secrets = join(folder, 'secrets');
  await mkdir(secrets, { mode: 0o700 });
  await writeFile(join(secrets, encodeURIComponent(key)), content, { mode: 0o600 });
  const ask = asking({ socket: sidecar.socketOf('billing') });
  const pep = new SecretPep(ask, secrets, () => performance.now());
  await control.report('mdm', 'device', node, { compliant: true });
  await control.report('risk-engine', 'subject', identities.billing, { risk_level: 'low' });

  play.tell('The service account names a transaction; nobody but itself has spoken of one.');
  const claimed = await pep.open(asked(key, 'tx-91'));
  play.answered(asked(key, 'tx-91'), claimed.answer, { effect: 'deny', codes: ['transaction_needs_secret'] });
  play.expect('no file was opened', 'refused' in claimed.outcome);

  play.tell('The orchestrator reports transaction tx-91 open, in need of this one secret.');
  await control.report('orchestrator', 'workload', identities.billing, {
    transactions: { 'tx-91': { secrets: [key] } },
  });
  const leased = await pep.open(asked(key, 'tx-91'));
  play.answered(asked(key, 'tx-91'), leased.answer, { effect: 'constrain', codes: ['handling_plain'] });
  play.expect(`the file's content is handed out once: ${content}`, readOf(leased.outcome) === content);
  play.expect('a second look finds it gone', readOf(leased.outcome) === undefined);

  play.tell('Another transaction, and another secret than the transaction needs.');
  play.answered(asked(key, 'tx-92'), (await pep.open(asked(key, 'tx-92'))).answer, {
    effect: 'deny',
    codes: ['transaction_needs_secret'],
  });
  const smtp = 'billing/smtp-password';
  play.answered(asked(smtp, 'tx-91'), (await pep.open(asked(smtp, 'tx-91'))).answer, {
    effect: 'deny',
    codes: ['transaction_needs_secret'],
  });

  play.tell('The environment is no longer compliant.');
  await control.report('mdm', 'device', node, { compliant: false });
  const drifted = await pep.open(asked(key, 'tx-91'));
  play.answered(asked(key, 'tx-91'), drifted.answer, { effect: 'deny', codes: ['device_compliant'] });
  play.expect('no file was opened', 'refused' in drifted.outcome);
  await control.report('mdm', 'device', node, { compliant: true });

  play.tell('The transaction is over: the orchestrator reports none.');
  await control.report('orchestrator', 'workload', identities.billing, { transactions: {} });
  play.answered(asked(key, 'tx-91'), (await pep.open(asked(key, 'tx-91'))).answer, {
    effect: 'deny',
    codes: ['transaction_needs_secret'],
  });
}

function readOf(outcome: SecretOutcome): string | undefined {
  if ('refused' in outcome) return undefined;
  try {
    return outcome.lease.read();
  } catch {
    return undefined;
  }
}
