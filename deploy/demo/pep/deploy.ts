import { createHash } from 'node:crypto';
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { basename, join } from 'node:path';
import type { Answer, Ask, Question } from './answer.ts';
import { type Able, permission } from './permission.ts';

interface DeployConstraints {
  readonly max_rollout_percent: number;
}

const able: Able<DeployConstraints> = {
  max_rollout_percent: (value) => (typeof value === 'number' && value > 0 && value <= 100 ? value : undefined),
};

export type DeployOutcome = { readonly deployed: string; readonly percent: number } | { readonly refused: string };

/** Puts artifacts into environments, each a folder. */
export class DeployPep {
  readonly #ask: Ask;
  readonly #folder: string;

  constructor(ask: Ask, folder: string) {
    this.#ask = ask;
    this.#folder = folder;
  }

  /** Deploys the very bytes whose digest it asked about: the file is read once. */
  async deploy(
    job: string,
    environment: string,
    artifact: string,
  ): Promise<{ readonly question: Question; readonly answer: Answer; readonly outcome: DeployOutcome }> {
    const bytes = await readFile(artifact);
    const question: Question = {
      subject: { type: 'workload', id: job },
      action: { name: 'deploy' },
      resource: { type: 'environment', id: environment, properties: { digest: digestOf(bytes) } },
    };
    const answer = await this.#ask(question);
    const allowed = permission<DeployConstraints>(answer, able);
    if (!allowed.permitted) return { question, answer, outcome: { refused: allowed.because } };
    const folder = join(this.#folder, encodeURIComponent(environment));
    await mkdir(folder, { recursive: true });
    const deployed = join(folder, basename(artifact));
    await writeFile(deployed, bytes);
    return { question, answer, outcome: { deployed, percent: allowed.constraints.max_rollout_percent ?? 100 } };
  }
}

export function digestOf(bytes: Uint8Array): string {
  return `sha256:${createHash('sha256').update(bytes).digest('hex')}`;
}
