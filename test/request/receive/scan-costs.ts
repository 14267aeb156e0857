import { scanJson } from '../../../src/text/scan-json.ts';
import { halves, plainBody, unkindBodies } from './unkind-bodies.ts';

/** Processor time per character, as ratios. */
export interface ScanCosts {
  readonly besidePlain: Readonly<Record<string, number>>;
  readonly wholeBesideHalf: Readonly<Record<string, number>>;
}

/** The median of pairs that take turns: what else the machine does falls on both. */
function ratio(text: string, base: string): number {
  const ratios: number[] = [];
  for (let pair = 0; pair < 15; pair += 1) ratios.push(cost(text) / cost(base));
  return ratios.sort((a, b) => a - b)[7] ?? Number.NaN;
}

function cost(text: string): number {
  const before = process.cpuUsage();
  scanJson(text, { depthMax: 64 });
  const { user, system } = process.cpuUsage(before);
  return (user + system) / text.length;
}

if (import.meta.main) {
  const costs: ScanCosts = {
    besidePlain: mapped(unkindBodies, (text) => ratio(text, plainBody)),
    wholeBesideHalf: mapped(halves, ([whole, half]) => ratio(whole, half)),
  };
  process.stdout.write(JSON.stringify(costs));
}

function mapped<T>(of: Readonly<Record<string, T>>, ratioOf: (one: T) => number): Record<string, number> {
  return Object.fromEntries(Object.entries(of).map(([name, one]) => [name, ratioOf(one)]));
}
