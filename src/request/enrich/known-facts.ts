// Tested by test/request/enrich/known-half.long.test.ts.
import type { SignalReader } from '../../domain/ports.ts';
import type { AboutKind, AttributeReport } from '../../domain/signal.ts';
import { type EpochMs, rfc3339Of } from '../../domain/time.ts';
import { type Merged, merge } from './merge.ts';

/** Attributes that are members of `trust` itself, besides `trust.attributes`. */
const trustMembers = [
  'risk_level',
  'risk_score',
  'credential_changed_at',
  'credential_compromised',
  'identity_disabled',
];

/**
 * One part of the known half as text: everything but the ages, which change with each request. `pieces` and `observed`
 * alternate: piece, age of observed[0] in seconds, piece, age of observed[1], …, piece.
 */
export interface Template {
  readonly pieces: readonly string[];
  readonly observed: readonly EpochMs[];
  /** When the report was made that its age follows; undefined: there is none. */
  readonly oldestReportAt: EpochMs | undefined;
  readonly validUntil: EpochMs | undefined;
}

/**
 * The known half's parts that come from signals, each kept as text beside the reports it was made from. What a request
 * pays is a look-up and its ages; bench/enrich.ts compares this with writing them anew each time. It holds no decision:
 * a new report is a new list, and the old text goes with the old list.
 */
export class KnownFacts {
  readonly #signals: SignalReader;
  readonly #templates = new WeakMap<readonly AttributeReport[], Template>();
  /** Pairs, such as a caller's and its subject's trust, have two lists as their key. */
  readonly #pairs = new WeakMap<readonly AttributeReport[], WeakMap<readonly AttributeReport[], Template>>();

  constructor(signals: SignalReader) {
    this.#signals = signals;
  }

  device(id: string | undefined, now: EpochMs): Template {
    const held = id === undefined ? undefined : this.#signals.held('device', id);
    if (id === undefined) return fixed('{"known":false}');
    if (held === undefined) return unknown(id);
    return this.#kept(held, now, (merged) => deviceTemplate(id, merged)) ?? unknown(id);
  }

  workload(id: string | undefined, now: EpochMs): Template {
    const held = id === undefined ? undefined : this.#signals.held('workload', id);
    if (id === undefined) return fixed('{"known":false}');
    if (held === undefined) return unknown(id);
    return this.#kept(held, now, (merged) => workloadTemplate(id, merged)) ?? unknown(id);
  }

  /** Trust in the subject and, where a relay speaks for it, in the caller too: the worse of both. */
  trust(subjectId: string | undefined, callerId: string | undefined, now: EpochMs): Template {
    const about = this.#about('subject', subjectId);
    const relayed = callerId === subjectId ? undefined : this.#about('subject', callerId);
    if (about === undefined || relayed === undefined) {
      const held = about ?? relayed;
      if (held === undefined) return unknownTrust;
      return this.#kept(held, now, trustTemplate) ?? unknownTrust;
    }
    let seconds = this.#pairs.get(about);
    if (seconds === undefined) {
      seconds = new WeakMap();
      this.#pairs.set(about, seconds);
    }
    const before = seconds.get(relayed);
    if (before !== undefined && isValid(before, now)) return before;
    const merged = merge([...about, ...relayed], now);
    const made = merged === undefined ? unknownTrust : trustTemplate(merged);
    seconds.set(relayed, made);
    return made;
  }

  #about(kind: AboutKind, id: string | undefined): readonly AttributeReport[] | undefined {
    return id === undefined ? undefined : this.#signals.held(kind, id);
  }

  #kept(held: readonly AttributeReport[], now: EpochMs, make: (merged: Merged) => Template): Template | undefined {
    const before = this.#templates.get(held);
    if (before !== undefined && isValid(before, now)) return before;
    const merged = merge(held, now);
    if (merged === undefined) return undefined;
    const made = make(merged);
    this.#templates.set(held, made);
    return made;
  }
}

function isValid(template: Template, now: EpochMs): boolean {
  return template.validUntil === undefined || now < template.validUntil;
}

function fixed(text: string): Template {
  return { pieces: [text], observed: [], oldestReportAt: undefined, validUntil: undefined };
}

function unknown(id: string): Template {
  return fixed(`{"id":${JSON.stringify(id)},"known":false}`);
}

const unknownTrust = fixed('{"session":{"revoked":false},"sources":[]}');

/** Builds a template from left to right. */
class Writer {
  readonly #pieces: string[] = [];
  readonly #observed: EpochMs[] = [];
  #open = '';

  text(text: string): this {
    this.#open += text;
    return this;
  }

  ageOf(observedAt: EpochMs): this {
    this.#pieces.push(this.#open);
    this.#open = '';
    this.#observed.push(observedAt);
    return this;
  }

  done(oldestReportAt: EpochMs, validUntil: EpochMs | undefined): Template {
    return { pieces: [...this.#pieces, this.#open], observed: this.#observed, oldestReportAt, validUntil };
  }
}

function attributesText(reports: Iterable<AttributeReport>): string {
  const members: string[] = [];
  for (const { attribute, value } of reports) members.push(`${JSON.stringify(attribute)}:${JSON.stringify(value)}`);
  return `{${members.join(',')}}`;
}

function sourcesInto(writer: Writer, merged: Merged): void {
  let separator = '';
  for (const [source, reports] of merged.bySource) {
    // A source's age is that of the oldest thing it still says: an attribute it stopped reporting ages its whole word.
    const oldest = reports.reduce((a, b) => (b.observedAt < a.observedAt ? b : a));
    writer
      .text(`${separator}${JSON.stringify(source)}:{"attributes":${attributesText(reports)}`)
      .text(`,"observed_at":"${rfc3339Of(oldest.observedAt)}","age_s":`)
      .ageOf(oldest.observedAt)
      .text('}');
    separator = ',';
  }
}

function deviceTemplate(id: string, merged: Merged): Template {
  const compliant = merged.attributes.get('compliant');
  const ageReport = compliant ?? merged.newest;
  const writer = new Writer().text(`{"id":${JSON.stringify(id)},"known":true`);
  if (compliant !== undefined) writer.text(`,"compliant":${JSON.stringify(compliant.value)}`);
  writer
    .text(`,"attributes":${attributesText(merged.attributes.values())}`)
    .text(`,"observed_at":"${rfc3339Of(ageReport.observedAt)}","age_s":`)
    .ageOf(ageReport.observedAt)
    .text(`,"source":${JSON.stringify(ageReport.source)},"sources":{`);
  sourcesInto(writer, merged);
  return writer.text('}}').done(ageReport.observedAt, merged.validUntil);
}

function workloadTemplate(id: string, merged: Merged): Template {
  const writer = new Writer()
    .text(`{"id":${JSON.stringify(id)},"known":true,"attributes":${attributesText(merged.attributes.values())}`)
    .text(`,"observed_at":"${rfc3339Of(merged.newest.observedAt)}","age_s":`)
    .ageOf(merged.newest.observedAt)
    .text(',"sources":{');
  sourcesInto(writer, merged);
  return writer.text('}}').done(merged.newest.observedAt, merged.validUntil);
}

function trustTemplate(merged: Merged): Template {
  const { attributes } = merged;
  const ageReport = attributes.get('risk_level') ?? merged.newest;
  const writer = new Writer().text('{');
  for (const name of trustMembers) {
    const report = attributes.get(name);
    if (report !== undefined) writer.text(`${JSON.stringify(name)}:${JSON.stringify(report.value)},`);
  }
  // An absent "revoked" means "not revoked", since a subject that was never revoked has no report of it. Any value but
  // an explicit false counts as revoked.
  const revoked = attributes.get('revoked');
  writer.text(`"session":{"revoked":${revoked !== undefined && revoked.value !== false}}`);
  const assurance = attributes.get('assurance');
  if (assurance !== undefined) writer.text(`,"assurance":${JSON.stringify(assurance.value)}`);
  writer
    .text(`,"attributes":${attributesText(attributes.values())}`)
    .text(`,"observed_at":"${rfc3339Of(ageReport.observedAt)}","age_s":`)
    .ageOf(ageReport.observedAt)
    .text(`,"sources":${JSON.stringify([...merged.bySource.keys()])}`);
  return writer.text('}').done(ageReport.observedAt, merged.validUntil);
}
