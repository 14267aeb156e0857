import { describe, expect, it } from '@jest/globals';
import {
  asSidecarError,
  BundleRefused,
  ConfigRefused,
  ControlRefused,
  InternalError,
  publicMessages,
  RequestRefused,
  Undecided,
} from '../../src/domain/errors.ts';

describe('an error of ours', () => {
  it('has one text for the caller, which never is the one for the log', () => {
    const errors = [
      new Undecided('policy_failed', 'CANARY'),
      new InternalError('CANARY', { cause: new Error('CANARY') }),
      new BundleRefused('CANARY'),
      new ConfigRefused(['CANARY']),
      new ControlRefused('store_failed', 503, 'CANARY'),
    ];
    for (const error of errors) {
      expect(error.publicMessage).toBe(publicMessages[error.code]);
      expect(error.message).toContain('CANARY');
    }
  });

  it('says where a request goes wrong, where it can', () => {
    expect(new RequestRefused('member_missing', 400, 'subject.id').publicMessage).toBe(
      'a required member is missing: subject.id',
    );
    expect(new RequestRefused('host_foreign', 403).publicMessage).toBe('the Host header names another host');
  });

  it('lists all faults of a configuration', () => {
    expect(new ConfigRefused(['a', 'b']).message).toBe('the configuration has 2 errors:\n  - a\n  - b');
    expect(new ConfigRefused(['a']).message).toBe('the configuration has 1 error:\n  - a');
  });

  it('is made of anything else, which is kept as its cause', () => {
    const refused = new RequestRefused('host_foreign', 403);
    expect(asSidecarError(refused)).toBe(refused);
    for (const cause of [new TypeError('x'), 'text', undefined, null, 1, { code: 'EIO' }]) {
      const error = asSidecarError(cause);
      expect(error).toMatchObject({ code: 'internal', cause });
      expect(error.publicMessage).toBe('internal error');
    }
  });
});

describe('the public texts', () => {
  it('hold no path, key, address or name of ours', () => {
    for (const text of Object.values(publicMessages))
      expect(text.replace('application/json', '')).not.toMatch(/[/\\{}`]|\d+\.\d+/);
  });

  it('belong to codes in lower snake case', () => {
    for (const code of Object.keys(publicMessages)) expect(code).toMatch(/^[a-z]+(_[a-z0-9]+)*$/);
  });
});
