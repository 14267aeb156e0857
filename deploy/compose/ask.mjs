// What an agent does before a tool call: it asks, and does only what the answer says. `docker compose run --rm ask`
const url = process.env.POSTERN_URL ?? 'http://127.0.0.1:8181';
const response = await fetch(`${url}/access/v1/evaluation`, {
  method: 'POST',
  headers: { 'content-type': 'application/json' },
  body: JSON.stringify({
    subject: { type: 'agent', id: 'spiffe://acme.example/agent/report-bot' },
    action: { name: 'query' },
    resource: { type: 'database', id: 'payroll', properties: { classification: 'internal' } },
    context: { task: 'monthly-report' },
  }),
  // No answer in time is no permission.
  signal: AbortSignal.timeout(2000),
});
process.stdout.write(`${JSON.stringify(await response.json())}\n`);
process.exitCode = response.ok ? 0 : 1;
