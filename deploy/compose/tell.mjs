// What a device manager and a risk engine do: they say what they saw, over the control socket. `docker compose run --rm tell`
import { readFileSync } from 'node:fs';
import { request } from 'node:http';

const observedAt = new Date().toISOString();
const signals = [
  { about: { kind: 'device', id: 'node-7' }, attributes: { compliant: true }, observed_at: observedAt, source: 'mdm' },
  {
    about: { kind: 'subject', id: 'spiffe://acme.example/agent/report-bot' },
    attributes: { risk_level: 'low' },
    observed_at: observedAt,
    source: 'risk-engine',
  },
];
const call = request(
  {
    socketPath: '/run/postern-control/control.sock',
    method: 'POST',
    path: '/v1/signals',
    headers: {
      authorization: `Bearer ${readFileSync('/run/postern-control/token', 'utf8').trim()}`,
      'content-type': 'application/json',
    },
    timeout: 2000,
  },
  (response) => {
    process.exitCode = response.statusCode !== undefined && response.statusCode < 300 ? 0 : 1;
    process.stdout.write(`${response.statusCode} `);
    response.pipe(process.stdout);
  },
);
call.on('timeout', () => call.destroy(new Error('no answer within 2 s')));
call.end(JSON.stringify(signals));
