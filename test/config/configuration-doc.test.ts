import { readFileSync, writeFileSync } from 'node:fs';
import { expect, it } from '@jest/globals';
import { overridable, variableOf } from '../../src/config/environment.ts';
import { expectation } from '../../src/config/read.ts';
import { derived } from '../../src/config/schema.ts';
import { configShape, everyPath, memberShape, type Shape, withoutNull } from '../../src/config/shape.ts';

const file = new URL('../../docs/configuration.md', import.meta.url);
const [begin, end] = ['<!-- begin: every key -->', '<!-- end: every key -->'];
const paths = [...everyPath()];
const variables = new Set(overridable());

/** The keys of the schema as Markdown: one table for each section. */
function tables(): string {
  return Object.keys(configShape.properties ?? {})
    .map((section) => {
      const rows = paths.filter(([path]) => path === section || path.startsWith(`${section}.`));
      const [[, shape] = ['', {}], ...members] = rows;
      return [
        `### ${section}`,
        '',
        `${shape.description} ${standing(section, shape)}`,
        '',
        '| key | takes | default | what it is |',
        '| --- | --- | --- | --- |',
        ...members.map(([path, member]) =>
          [
            '',
            `\`${path}\`${variables.has(path) ? `<br>\`${variableOf(path)}\`` : ''}`,
            cell(takes(member)),
            cell(defaultOf(path, member)),
            cell(member.description ?? ''),
            '',
          ]
            .join(' | ')
            .trim(),
        ),
      ].join('\n');
    })
    .join('\n\n');
}

function standing(section: string, shape: Shape): string {
  return shape.default === undefined && isRequired(section) ? 'Must be there.' : 'May be left out.';
}

function takes(whole: Shape): string {
  const { shape } = withoutNull(whole);
  const names = Object.entries(shape.patternProperties ?? {}).map(([pattern, value]) => {
    return `up to ${shape.maxProperties} names like \`${pattern}\`, each with ${expectation(value)}`;
  });
  const items =
    shape.items === undefined ? [] : [`, ${shape.minItems ?? 0} to ${shape.maxItems} of: ${expectation(shape.items)}`];
  return (
    expectation(whole).replace(/\^\S+\$/, (pattern) => `\`${pattern}\``) +
    items.join('').replace(/\^\S+\$/, (pattern) => `\`${pattern}\``) +
    (names.length === 0 ? '' : `: ${names.join('; ')}`)
  );
}

function defaultOf(path: string, shape: Shape): string {
  const from = Object.entries(derived).find(([name]) => name === path)?.[1];
  if (from !== undefined) return from;
  if (shape.default === undefined) return isRequired(path) ? '**must be given**' : 'left out';
  return withoutNull(shape).shape.properties === undefined || shape.default === null
    ? `\`${JSON.stringify(shape.default)}\``
    : 'its members’';
}

function isRequired(path: string): boolean {
  const names = path.replaceAll('[]', '').split('.');
  const last = names.pop() ?? '';
  const holder = names.reduce<Shape>((at, name) => {
    const inner = withoutNull(memberShape(at, name) ?? {}).shape;
    return inner.items === undefined ? inner : withoutNull(inner.items).shape;
  }, configShape);
  return holder.required?.includes(last) ?? false;
}

function cell(text: string): string {
  return text.replaceAll('|', '\\|');
}

it('docs/configuration.md names every key as the schema has it (UPDATE_DOCS=1 writes it anew)', () => {
  const text = readFileSync(file, 'utf8');
  const [head, , tail] = text.split(new RegExp(`(?<=${begin})([\\s\\S]*)(?=${end})`));
  const wanted = `${head}\n${tables()}\n${tail}`;
  if (process.env['UPDATE_DOCS'] === '1') writeFileSync(file, wanted);
  else expect(text).toBe(wanted);
  expect(wanted).toContain('POSTERN_DECISION__LIMITS__BODY_BYTES');
});
