// Tested by test/config/bundle-rules.test.ts.
import type { Address, Config } from './schema.ts';

/** A configuration some of whose members were faulty and are left out; lists keep their places. */
type Draft<T> = T extends readonly (infer Item)[]
  ? readonly (Draft<Item> | undefined)[]
  : T extends Address
    ? T
    : T extends object
      ? { readonly [K in keyof T]?: Draft<T[K]> | undefined }
      : T;
export type ConfigDraft = Draft<Config>;
