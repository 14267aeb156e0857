import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { call } from '../call.ts';
import { type Ask, asking, type Question } from '../pep/answer.ts';
import { DatabasePep, type QueryOutcome } from '../pep/database.ts';
import { identities, node } from '../sidecar-process.ts';
import type { Stage } from './stage.ts';

const salaries = 1_500;

function asked(database: string, task = 'monthly-report'): Question {
  return {
    subject: { type: 'agent', id: identities.agent },
    action: { name: 'query' },
    resource: { type: 'database', id: database },
    context: { task },
  };
}

export async function databaseCase({ play, sidecar, control, folder }: Stage): Promise<void> {
  const file = join(folder, 'payroll.sqlite');
  fill(file);
  const ask = asking({ address: sidecar.address });
  const pep = new DatabasePep(ask, file);
  const count = 'SELECT count(*) AS people, sum(amount) AS total FROM salary';

  play.tell('Nobody has vouched for the node or the agent yet.');
  const unknown = await pep.query(asked('payroll'), count);
  play.answered(asked('payroll'), unknown.answer, { effect: 'deny', codes: ['device_compliant', 'risk_low'] });
  play.expect('no statement ran', isRefusedBy('sidecar', unknown.outcome));

  play.tell('The device manager reports the node compliant, the risk engine the agent at low risk.');
  await control.report('mdm', 'device', node, { compliant: true });
  await control.report('risk-engine', 'subject', identities.agent, { risk_level: 'low' });
  const read = await pep.query(asked('payroll'), count);
  play.answered(asked('payroll'), read.answer, { effect: 'constrain', codes: ['read_only_replica'] });
  play.expect(
    `${count} → ${shown(read.outcome)}`,
    read.outcome.done === 'rows' && JSON.stringify(read.outcome.rows).includes(`"people":${salaries}`),
  );

  const all = await pep.query(asked('payroll'), 'SELECT * FROM salary');
  play.answered(asked('payroll'), all.answer, { effect: 'constrain' });
  play.expect(
    `SELECT * FROM salary → the session ends at ${all.outcome.done === 'rows' ? all.outcome.rows.length : 'no'} of ${salaries} rows`,
    all.outcome.done === 'rows' && all.outcome.rows.length === 1_000 && all.outcome.cutAt === 1_000,
  );

  play.tell('The agent was talked into deleting: the question looks the same, so the database has to refuse.');
  const write = await pep.query(asked('payroll'), 'DELETE FROM salary');
  play.answered(asked('payroll'), write.answer, { effect: 'constrain' });
  play.expect(`DELETE FROM salary → ${shown(write.outcome)}`, isRefusedBy('database', write.outcome));
  play.expect('every row is still there', rowsIn(file) === salaries);

  play.tell('An older enforcement point, which cannot limit rows, gets the same answer.');
  const older = await unableToLimitRows(ask, file).query(asked('payroll'), count);
  play.answered(asked('payroll'), older.answer, { effect: 'constrain' });
  play.expect(`it denies by itself: ${shown(older.outcome)}`, isRefusedBy('pep', older.outcome));

  play.tell('The node drifts: its disk encryption was switched off.');
  await control.report('mdm', 'device', node, { compliant: false, disk_encrypted: false });
  const drifted = await pep.query(asked('payroll'), count);
  play.answered(asked('payroll'), drifted.answer, { effect: 'deny', codes: ['device_compliant'] });
  play.expect('no statement ran', isRefusedBy('sidecar', drifted.outcome));

  play.tell('The agent claims that all is well, in the sidecar’s own words.');
  const claim = {
    ...asked('payroll'),
    device: { id: node, known: true, compliant: true, age_s: 0 },
    trust: { risk_level: 'low' },
  };
  play.answered(claim, await ask(claim), { effect: 'deny', codes: ['device_compliant'] });

  play.tell('The node is mended, and the risk engine sees the agent behave oddly.');
  await control.report('mdm', 'device', node, { compliant: true, disk_encrypted: true });
  await control.report('risk-engine', 'subject', identities.agent, { risk_level: 'medium' });
  const risky = await pep.query(asked('payroll'), count);
  play.answered(asked('payroll'), risky.answer, { effect: 'step_up', codes: ['risk_low'] });
  play.expect('no statement ran', isRefusedBy('sidecar', risky.outcome));
  const challenged = await call(
    { address: sidecar.address },
    { method: 'POST', path: '/http/v1/evaluation', body: asked('payroll') },
  );
  const { 'x-decision-id': id, 'www-authenticate': challenge = '' } = challenged.headers;
  if (typeof id === 'string') play.decisionIds.push(id);
  play.expect(
    'the same question on /http/v1/evaluation is answered 401 with the challenge of RFC 9470:',
    challenged.status === 401 &&
      challenge.includes('error="insufficient_user_authentication"') &&
      challenge.includes('acr_values="urn:acme:acr:phr"'),
  );
  play.show(challenge);

  play.tell('The person behind the agent has authenticated again; the risk engine is content.');
  await control.report('risk-engine', 'subject', identities.agent, { risk_level: 'low' });
  const again = await pep.query(asked('payroll'), count);
  play.answered(asked('payroll'), again.answer, { effect: 'constrain' });
  play.expect('the query runs again', again.outcome.done === 'rows');

  play.tell('Data that the task may not see, whatever the agent says about it; and data that is public anyway.');
  const archive = await pep.query(asked('payroll-archive'), count);
  play.answered(asked('payroll-archive'), archive.answer, { effect: 'deny', codes: ['classification_fits_task'] });
  const holidays = await ask(asked('holidays'));
  play.answered(asked('holidays'), holidays, { effect: 'allow' });
}

/** What an enforcement point written before `max_rows` existed knows. */
function unableToLimitRows(ask: Ask, file: string): DatabasePep {
  return new DatabasePep(ask, file, {
    read_only: (value) => (value === true ? true : undefined),
    max_rows: () => undefined,
    statement_timeout_ms: (value) => (typeof value === 'number' ? value : undefined),
  });
}

function fill(file: string): void {
  const database = new DatabaseSync(file);
  database.exec('CREATE TABLE salary (person INTEGER PRIMARY KEY, amount INTEGER NOT NULL) STRICT');
  const insert = database.prepare('INSERT INTO salary (amount) VALUES (?)');
  database.exec('BEGIN');
  for (let person = 0; person < salaries; person += 1) insert.run(3_000 + (person % 7) * 250);
  database.exec('COMMIT');
  database.close();
}

function rowsIn(file: string): unknown {
  const database = new DatabaseSync(file, { readOnly: true });
  const row = database.prepare('SELECT count(*) AS rows FROM salary').get();
  database.close();
  return row?.['rows'];
}

function isRefusedBy(who: 'sidecar' | 'pep' | 'database', outcome: QueryOutcome): boolean {
  return outcome.done === 'refused' && outcome.by === who;
}

function shown(outcome: QueryOutcome): string {
  return outcome.done === 'rows' ? JSON.stringify(outcome.rows[0]) : `refused by the ${outcome.by}: ${outcome.because}`;
}
