/**
 * `make demo`: the five cases that must always work, played against a real sidecar through real enforcement points.
 * Ends `5 of 5 cases as expected` with exit code 0, anything else with 1.
 */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { databaseCase } from './cases/database.ts';
import { deployCase } from './cases/deploy.ts';
import { entitlementsCase } from './cases/entitlements.ts';
import { secretCase } from './cases/secret.ts';
import type { Stage } from './cases/stage.ts';
import { trailCase } from './cases/trail.ts';
import { Control } from './control.ts';
import { Play } from './play.ts';
import { builder, builderKey } from './provenance.ts';
import { startSidecar } from './sidecar-process.ts';

const root = fileURLToPath(new URL('../..', import.meta.url));
const everyEffect = ['allow', 'deny', 'step_up', 'constrain'];

async function demo(): Promise<boolean> {
  const { NO_COLOR: noColor = '' } = process.env;
  const play = new Play((text) => process.stdout.write(text), process.stdout.isTTY === true && noColor === '');
  const folder = await mkdtemp(join(tmpdir(), 'postern-demo-'));
  const trusted = builderKey();
  try {
    const sidecar = await startSidecar(root, folder, { publicPem: trusted.publicPem, ...builder });
    let code: number | null;
    try {
      const stage: Stage = {
        play,
        sidecar,
        control: new Control(sidecar.controlSocket, sidecar.tokens.portal),
        approver: new Control(sidecar.controlSocket, sidecar.tokens.approver),
        folder,
        root,
      };
      await play.case(1, 'An AI agent queries a database', () => databaseCase(stage));
      await play.case(2, 'A CI/CD job deploys to production', () => deployCase(stage, trusted, builderKey()));
      await play.case(3, 'A service account reads a secret', () => secretCase(stage));
      await play.case(4, 'An operator reviews entitlements', () => entitlementsCase(stage));
      await play.case(5, 'An auditor reads the trail', () => trailCase(stage));
    } finally {
      code = await sidecar.stop();
    }
    const unseen = everyEffect.filter((effect) => !play.effectsSeen.has(effect));
    if (unseen.length > 0) play.verdict(`never answered: ${unseen.join(', ')}`);
    if (code !== 0) play.verdict(`the sidecar ended with ${code}`);
    play.verdict(`${play.casesAsExpected} of 5 cases as expected`);
    return play.casesAsExpected === 5 && unseen.length === 0 && code === 0;
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

process.exitCode = (await demo()) ? 0 : 1;
