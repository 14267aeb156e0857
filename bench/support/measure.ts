/**
 * CPU time of one call, as the best of several rounds: the least disturbed one says most of the code itself.
 *
 * @returns microseconds
 */
export function microsecondsPer(call: () => unknown, calls = 50_000, rounds = 5): number {
  for (let index = 0; index < calls / 5; index += 1) call();
  let best = Number.POSITIVE_INFINITY;
  for (let round = 0; round < rounds; round += 1) {
    const before = process.cpuUsage();
    for (let index = 0; index < calls; index += 1) call();
    const { user, system } = process.cpuUsage(before);
    best = Math.min(best, (user + system) / calls);
  }
  return best;
}

/** One line for each way of doing the same thing, and how it stands to the first. */
export function compare(title: string, ways: Readonly<Record<string, () => unknown>>): void {
  console.log(title);
  let first: number | undefined;
  for (const [name, call] of Object.entries(ways)) {
    const cost = microsecondsPer(call);
    first ??= cost;
    console.log(`  ${name.padEnd(44)} ${cost.toFixed(2).padStart(8)} µs  ×${(cost / first).toFixed(2)}`);
  }
}

/** The request of the starter's database case, as an agent sends it. */
export const requestBody = Buffer.from(
  JSON.stringify({
    subject: { type: 'agent', id: 'spiffe://acme.example/agent/report-bot' },
    action: { name: 'query' },
    resource: { type: 'database', id: 'payroll', properties: { classification: 'internal' } },
    context: { task: 'monthly-report', transaction: 'tx-91' },
  }),
);
