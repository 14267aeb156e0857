// Tested by test/config/configuration-doc.test.ts.
import type { TSchema } from 'typebox';
import { configSchema, derived } from './schema.ts';

/** The parts of JSON Schema that the configuration is written in. */
export interface Shape {
  readonly type?: string;
  readonly description?: string;
  readonly default?: unknown;
  readonly format?: string;
  readonly enum?: readonly string[];
  readonly minimum?: number;
  readonly maximum?: number;
  readonly minLength?: number;
  readonly maxLength?: number;
  readonly pattern?: string;
  readonly properties?: Readonly<Record<string, Shape>>;
  readonly required?: readonly string[];
  readonly patternProperties?: Readonly<Record<string, Shape>>;
  readonly maxProperties?: number;
  readonly items?: Shape;
  readonly minItems?: number;
  readonly maxItems?: number;
  readonly anyOf?: readonly Shape[];
}

// As a JSON Schema, which is what it is at run time; typebox's own types carry what `Config` is made of.
const asSchema: TSchema = configSchema;
export const configShape: Shape = asSchema;

/** The shape apart from `null`, where a member may be null to switch something off. */
export function withoutNull(shape: Shape): { readonly shape: Shape; readonly nullable: boolean } {
  const others = shape.anyOf?.filter((branch) => branch.type !== 'null') ?? [];
  const [only] = others;
  return only !== undefined && others.length === 1 && shape.anyOf?.length === 2
    ? { shape: only, nullable: true }
    : { shape, nullable: false };
}

/** A named member of an object shape; undefined for what is none. */
export function memberShape(shape: Shape, name: string): Shape | undefined {
  return shape.properties !== undefined && Object.hasOwn(shape.properties, name) ? shape.properties[name] : undefined;
}

/** Every path of the configuration that has a fixed name, with its shape; lists are entered as `name[]`. */
export function* everyPath(shape: Shape = configShape, at = ''): Generator<readonly [path: string, shape: Shape]> {
  for (const [name, child] of Object.entries(shape.properties ?? {})) {
    const path = at === '' ? name : `${at}.${name}`;
    yield [path, child];
    const inner = withoutNull(child).shape;
    yield* everyPath(inner, path);
    if (inner.items !== undefined) yield* everyPath(inner.items, `${path}[]`);
  }
}

/**
 * The JSON Schema of a configuration file. `configSchema` describes the configuration once its defaults are in place,
 * so there a member with a default is always present; in a file it may be left out.
 */
export function fileSchema(): Shape {
  return {
    ...({ $schema: 'https://json-schema.org/draft/2020-12/schema' } as Shape),
    ...leaveOut(configShape, ''),
  };
}

function leaveOut(shape: Shape, at: string): Shape {
  const properties = Object.entries(shape.properties ?? {}).map(
    ([name, child]) => [name, leaveOut(child, at === '' ? name : `${at}.${name}`)] as const,
  );
  const required = shape.required?.filter(
    (name) =>
      memberShape(shape, name)?.default === undefined && !Object.hasOwn(derived, at === '' ? name : `${at}.${name}`),
  );
  return {
    ...shape,
    ...(shape.properties === undefined ? {} : { properties: Object.fromEntries(properties) }),
    ...(required === undefined ? {} : { required }),
    ...(shape.items === undefined ? {} : { items: leaveOut(shape.items, at) }),
    ...(shape.anyOf === undefined ? {} : { anyOf: shape.anyOf.map((branch) => leaveOut(branch, at)) }),
  };
}
