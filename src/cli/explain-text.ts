import { styleText } from 'node:util';
import { type Decision, type Effect, effectOf, type Reason } from '../domain/decision.ts';
import { isJsonObject, type JsonObject, type JsonValue, member } from '../domain/json-value.ts';
import { printable } from '../text/printable.ts';

export interface Explained {
  readonly decision: Decision;
  /** Where what followed the policy closed the decision: what the policy had said. */
  readonly policySaid?: Decision;
  readonly entrypoint: string;
  /** The policy's input, both halves; undefined if there was none. */
  readonly input: JsonObject | undefined;
  /** Said before everything else, e.g. how a replay compares with what was recorded. */
  readonly notes: readonly string[];
}

type Style = 'bold' | 'dim' | 'green' | 'yellow' | 'red' | 'cyan';
type Paint = (style: Style, text: string) => string;

const effectStyles: Readonly<Record<Effect | 'query', Style>> = {
  allow: 'green',
  constrain: 'cyan',
  step_up: 'yellow',
  deny: 'red',
  query: 'bold',
};

/**
 * The full reasoning of one decision, for a person: the effect, every requirement met and unmet with what can be done
 * about it, and what was known when it was made. Everything in it that callers, sources or policies wrote is made
 * printable, so that no id or message can steer the terminal it is shown on.
 */
export function explainText(explained: Explained, color: boolean): string {
  const { decision, policySaid = decision, entrypoint, input, notes } = explained;
  const paint: Paint = color ? (style, text) => styleText(style, text, { validateStream: false }) : (_, text) => text;
  const blocks = [
    notes.map((note) => paint('bold', printable(note))),
    headline(decision, entrypoint, input, paint),
    requirements(policySaid, paint),
    input === undefined ? [] : known(input, paint),
    consequences(decision, paint),
  ];
  return `${blocks
    .filter((block) => block.length > 0)
    .map((block) => block.join('\n'))
    .join('\n\n')}\n`;
}

function headline(decision: Decision, entrypoint: string, input: JsonObject | undefined, paint: Paint): string[] {
  const effect = effectOf(decision);
  const policy = decision.kind === 'undecided' || decision.kind === 'queried' ? undefined : decision.policy;
  const by = policy === undefined ? entrypoint : `policy ${policy} (${entrypoint})`;
  const revision = decision.revision === undefined || decision.revision === '' ? '' : `, bundle ${decision.revision}`;
  return [
    `${paint(effectStyles[effect], paint('bold', effect.toUpperCase()))}  by ${printable(by + revision)}`,
    ...(input === undefined ? [] : [`  ${printable(askedLine(input))}`]),
    ...undecidedLines(decision),
    ...(decision.kind === 'queried' ? [`  result: ${printable(decision.resultText ?? 'undefined')}`] : []),
  ];
}

function undecidedLines(decision: Decision): string[] {
  if (decision.kind !== 'undecided') return [];
  const { code, message, publicMessage } = decision.error;
  return [`  not decided, so the answer is deny: ${code}: ${publicMessage}`, `  ${printable(message)}`];
}

/** e.g. `agent spiffe://… asks to query database payroll, for {"task":"monthly-report"}` */
function askedLine(input: JsonObject): string {
  const subject = object(input, 'subject');
  const action = object(input, 'action');
  const resource = object(input, 'resource');
  const context = object(input, 'context');
  const what = [text(resource, 'type'), text(resource, 'id')].filter((part) => part !== undefined).join(' ');
  return (
    `${[text(subject, 'type'), text(subject, 'id') ?? 'an unnamed subject'].filter((part) => part !== undefined).join(' ')}` +
    ` asks to ${text(action, 'name') ?? 'do something'} ${what === '' ? 'something' : what}` +
    (context === undefined || Object.keys(context).length === 0 ? '' : `, with context ${JSON.stringify(context)}`)
  );
}

function requirements(decision: Decision, paint: Paint): string[] {
  if (decision.kind === 'undecided' || decision.kind === 'queried') return [];
  const { reasons, met } = decision;
  if (reasons.length === 0 && met.length === 0) return [];
  const width = Math.min(40, Math.max(...[...reasons.map(({ code }) => code), ...met].map((name) => name.length)));
  return [
    paint('bold', 'requirements'),
    ...reasons.flatMap((reason) => unmetLines(reason, width, paint)),
    ...met.map((name) => `  ${paint('green', '✓')} ${printable(name)}`),
  ];
}

function unmetLines({ code, otherwise, remedy, message }: Reason, width: number, paint: Paint): string[] {
  const effect = otherwise ?? 'deny';
  return [
    `  ${paint(effectStyles[effect], '✗')} ${printable(code).padEnd(width)}  ${paint(effectStyles[effect], `else ${effect}`)}`,
    ...(remedy === undefined ? [] : [`      remedy: ${printable(remedy)}`]),
    ...(message === undefined ? [] : [`      ${paint('dim', printable(message))}`]),
  ];
}

function known(input: JsonObject, paint: Paint): string[] {
  const rows: readonly (readonly [name: string, lines: readonly string[]])[] = [
    ['caller', [callerLine(object(input, 'caller'))]],
    ['device', deviceLines(object(input, 'device'))],
    ['trust', trustLines(object(input, 'trust'))],
    ['workload', workloadLines(object(input, 'workload'))],
    ['grants', listed(input, 'grants', grantLine)],
    ['attestations', listed(input, 'attestations', attestationLine)],
    ['environment', [environmentLine(object(input, 'environment'))]],
  ];
  return [
    paint('bold', 'known'),
    ...rows.flatMap(([name, lines]) =>
      lines.map((line, index) => `  ${paint('dim', (index === 0 ? name : '').padEnd(12))}  ${printable(line)}`),
    ),
  ];
}

const unknown = 'unknown';

function callerLine(caller: JsonObject | undefined): string {
  const id = text(caller, 'id');
  if (caller === undefined || id === undefined) return unknown;
  const relay = member(caller, 'relay') === true ? ', may speak for others' : '';
  return `${id}, known by ${text(caller, 'method') ?? 'nothing'}${relay}`;
}

function deviceLines(device: JsonObject | undefined): string[] {
  if (device === undefined || member(device, 'known') !== true) {
    const id = text(device, 'id');
    return [id === undefined ? unknown : `${id}: nothing known of it`];
  }
  const compliant = member(device, 'compliant');
  const says = compliant === true ? 'compliant' : compliant === false ? 'not compliant' : 'compliance unknown';
  const by = text(device, 'source') === undefined ? '' : `, says ${text(device, 'source')}`;
  return [`${text(device, 'id')}: ${says}${by}${aged(device)}`, ...attributeLines(device)];
}

function trustLines(trust: JsonObject | undefined): string[] {
  if (trust === undefined) return [unknown];
  const score = shown(member(trust, 'risk_score'));
  const session = object(trust, 'session');
  const parts = [
    `risk ${text(trust, 'risk_level') ?? unknown}${score === undefined ? '' : ` (${score})`}`,
    session !== undefined && member(session, 'revoked') === false ? 'session not revoked' : 'session revoked',
    ...['credential_changed_at', 'credential_compromised', 'identity_disabled'].flatMap((name) => {
      const value = shown(member(trust, name));
      return value === undefined ? [] : [`${name} ${value}`];
    }),
  ];
  const assurance = object(trust, 'assurance');
  const sources = member(trust, 'sources');
  return [
    `${parts.join(', ')}${aged(trust)}`,
    ...(assurance === undefined || Object.keys(assurance).length === 0
      ? []
      : [`assurance ${JSON.stringify(assurance)}`]),
    ...attributeLines(trust),
    ...(Array.isArray(sources) && sources.length > 0 ? [`from ${sources.map(shown).join(', ')}`] : []),
  ];
}

function workloadLines(workload: JsonObject | undefined): string[] {
  if (workload === undefined || member(workload, 'known') !== true) return [unknown];
  return [`${text(workload, 'id')}${aged(workload)}`, ...attributeLines(workload)];
}

function listed(input: JsonObject, name: string, line: (one: JsonObject) => string): string[] {
  const list = member(input, name);
  const lines = Array.isArray(list) ? list.filter(isJsonObject).map(line) : [];
  return lines.length === 0 ? ['none'] : lines;
}

function grantLine(grant: JsonObject): string {
  const uses = member(grant, 'uses_left');
  return [
    `${text(grant, 'id')}: ${joined(grant, 'actions')} on ${joined(grant, 'resources')}`,
    ...(uses === undefined ? [] : [`${shown(uses)} ${uses === 1 ? 'use' : 'uses'} left`]),
    ...(text(grant, 'expires_at') === undefined ? [] : [`until ${text(grant, 'expires_at')}`]),
    ...(text(grant, 'approver') === undefined ? [] : [`approved by ${text(grant, 'approver')}`]),
  ].join(', ');
}

function attestationLine(one: JsonObject): string {
  return `${text(one, 'digest')}, built by ${text(one, 'builder')}${aged(one)}`;
}

function environmentLine(environment: JsonObject | undefined): string {
  const bundle = object(environment, 'bundle');
  const revision = text(bundle, 'revision');
  return `at ${text(environment, 'now') ?? 'an unknown time'}${revision === undefined ? '' : `, bundle ${revision}`}${aged(bundle)}`;
}

function consequences(decision: Decision, paint: Paint): string[] {
  if (decision.kind === 'undecided' || decision.kind === 'queried') return [];
  const rows: (readonly [name: string, value: string])[] = [];
  if (decision.kind === 'constrain') {
    for (const [name, value] of Object.entries(decision.constraints))
      rows.push([`only with ${name}`, JSON.stringify(value)]);
  }
  if (decision.kind === 'step_up') {
    const maxAge = decision.maxAgeS === undefined ? '' : `, at most ${decision.maxAgeS} s ago`;
    rows.push(['after step-up', `${decision.acrValues.join(' or ')}${maxAge}`]);
  }
  for (const { id, type, properties } of decision.obligations)
    rows.push([`obliged: ${id}`, `${type} ${JSON.stringify(properties)}`]);
  if (decision.grants !== undefined && decision.grants.length > 0)
    rows.push(['rests on', `grant ${decision.grants.join(', ')}`]);
  for (const [name, value] of Object.entries(decision.labels)) rows.push([`label ${name}`, value]);
  const permits = decision.kind === 'allow' || decision.kind === 'constrain';
  if (permits) rows.push(['holds for', decision.ttlS === undefined ? 'this one action' : `${decision.ttlS} s`]);
  const width = Math.min(40, Math.max(0, ...rows.map(([name]) => name.length)));
  return rows.map(([name, value]) => `${paint('bold', printable(name).padEnd(width))}  ${printable(value)}`);
}

function attributeLines(about: JsonObject): string[] {
  const attributes = object(about, 'attributes') ?? {};
  const pairs = Object.entries(attributes).map(([name, value]) => `${name} ${shown(value)}`);
  // Some to a line: a machine has dozens of them.
  return pairs.flatMap((_, index) => (index % 4 === 0 ? [pairs.slice(index, index + 4).join(', ')] : []));
}

/** Negative: a report from the future, which is not fresh. */
function aged(about: JsonObject | undefined): string {
  const age = about === undefined ? undefined : member(about, 'age_s');
  if (typeof age !== 'number') return '';
  return age < 0 ? `, dated ${-age} s into the future` : `, ${age} s ago`;
}

function object(from: JsonObject | undefined, name: string): JsonObject | undefined {
  const value = from === undefined ? undefined : member(from, name);
  return isJsonObject(value) ? value : undefined;
}

function text(from: JsonObject | undefined, name: string): string | undefined {
  const value = from === undefined ? undefined : member(from, name);
  return typeof value === 'string' ? value : undefined;
}

function joined(from: JsonObject, name: string): string {
  const value = member(from, name);
  return Array.isArray(value) && value.length > 0 ? value.map(shown).join(', ') : 'nothing';
}

function shown(value: JsonValue | undefined): string | undefined {
  return value === undefined ? undefined : typeof value === 'string' ? value : JSON.stringify(value);
}
