import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { asking, type Question } from '../pep/answer.ts';
import { type DeployOutcome, DeployPep, digestOf } from '../pep/deploy.ts';
import { type builderKey, provenance } from '../provenance.ts';
import { identities } from '../sidecar-process.ts';
import type { Stage } from './stage.ts';

type Key = ReturnType<typeof builderKey>;

/** @param trusted the key that the sidecar's configuration names; `stranger` is any other */
export async function deployCase(
  { play, sidecar, control, approver, folder }: Stage,
  trusted: Key,
  stranger: Key,
): Promise<void> {
  const pep = new DeployPep(asking({ socket: sidecar.socketOf('ci') }), join(folder, 'environments'));
  const artifact = join(folder, 'payments-1.4.2.txt');
  await writeFile(artifact, 'payments 1.4.2\n');
  const digest = digestOf(await readFile(artifact));
  const production = 'prod/payments';
  const deploy = () => pep.deploy(identities.ci, production, artifact);
  await control.report('risk-engine', 'subject', identities.ci, { risk_level: 'low' });

  play.tell('An artifact that nobody vouches for, and no right to deploy.');
  const bare = await deploy();
  play.answered(asShown(bare.question), bare.answer, {
    effect: 'deny',
    codes: ['grant_in_hand', 'provenance_trusted'],
  });
  play.expect('nothing was deployed', 'refused' in bare.outcome);

  play.tell('Provenance for it arrives, first signed with a key that is not configured, then by the builder.');
  const built = {
    name: 'payments',
    sha256: digest.slice('sha256:'.length),
    repository: 'https://github.com/acme/payments',
    finishedOn: new Date().toISOString(),
  };
  const forged = await control.attach(provenance(built, stranger.privateKey));
  play.expect(`the forged one is refused at the door: ${forged}`, forged === 422);
  const genuine = await control.attach(provenance(built, trusted.privateKey));
  play.expect(`the genuine one verifies: ${genuine}`, genuine >= 200 && genuine < 300);
  const ungranted = await deploy();
  play.answered(asShown(ungranted.question), ungranted.answer, { effect: 'deny', codes: ['grant_in_hand'] });
  play.expect('its one reason names the way on', ungranted.answer.reasons.length === 1);

  play.tell('A grant for one deployment is asked for. Asking alone opens nothing.');
  const grant = await control.requestGrant({
    subject: identities.ci,
    actions: ['deploy'],
    resources: [production],
    reason: 'CHG-1042: payments 1.4.2',
    ttl_s: 900,
    max_uses: 1,
  });
  const waiting = await deploy();
  play.answered(asShown(waiting.question), waiting.answer, { effect: 'deny', codes: ['grant_in_hand'] });

  play.tell('The operator approves it.');
  await approver.approveGrant(grant);
  const granted = await deploy();
  play.answered(asShown(granted.question), granted.answer, { effect: 'allow' });
  play.expect(
    'the environment holds the very bytes that were asked about',
    (await deployedDigest(granted.outcome)) === digest,
  );

  play.tell('The same job tries again: the right was for once.');
  const spent = await deploy();
  play.answered(asShown(spent.question), spent.answer, { effect: 'deny', codes: ['grant_in_hand'] });

  play.tell('Staging takes the artifact for its provenance alone.');
  const staging = await pep.deploy(identities.ci, 'staging/payments', artifact);
  play.answered(asShown(staging.question), staging.answer, { effect: 'allow' });
  play.expect('deployed to staging', (await deployedDigest(staging.outcome)) === digest);
}

async function deployedDigest(outcome: DeployOutcome): Promise<string | undefined> {
  return 'deployed' in outcome ? digestOf(await readFile(outcome.deployed)) : undefined;
}

/** The digest belongs to the question, and is what one wants to see of it. */
function asShown(question: Question): Question {
  return { ...question, context: { digest: `${String(question.resource.properties?.['digest']).slice(0, 19)}…` } };
}
