import { describe, expect, it } from '@jest/globals';
import { Undecided } from '../../../src/domain/errors.ts';
import type { AuthzRequest, Caller, CallerBinding } from '../../../src/domain/request.ts';
import { identifier, requireOwnSubject } from '../../../src/request/identify/identify.ts';

const bot = 'spiffe://acme.example/agent/bot';
const gateway = 'spiffe://acme.example/gateway';
const identify = identifier({ relays: new Set([gateway]), deviceId: 'node-7' });

function request(via: CallerBinding, change: Partial<AuthzRequest> = {}): AuthzRequest {
  return {
    surface: 'authzen',
    entrypoint: 'authz/decision',
    asked: {},
    askedText: '',
    digests: [],
    via,
    remote: 'unix',
    ...change,
  };
}

/** The code it stays closed with, or `may speak`. */
function speaking(caller: Caller, subject: string | undefined): string {
  const asked = subject === undefined ? {} : { subject: { type: 't', id: subject } };
  try {
    requireOwnSubject(request({ method: 'none' }, { asked }), caller);
    return 'may speak';
  } catch (cause) {
    return cause instanceof Undecided ? cause.code : 'other';
  }
}

describe('a caller', () => {
  it('is who the listener it came through says, and stands on this device', () => {
    expect(identify(request({ method: 'configured', id: bot }))).toEqual({
      id: bot,
      method: 'configured',
      claims: {},
      ageS: 0,
      relay: false,
      deviceId: 'node-7',
    });
    expect(identify(request({ method: 'socket', id: bot }))).toMatchObject({ id: bot, method: 'socket' });
  });

  it('is nobody where the listener has no identity', () => {
    expect(identify(request({ method: 'none' }))).toMatchObject({ id: undefined, method: 'none', relay: false });
    // A way in without an identity is no way to be known, whatever it is called.
    expect(identify(request({ method: 'socket' }))).toMatchObject({ id: undefined, method: 'none' });
  });

  it('A03 is not moved to another device by what it claims', () => {
    expect(identify(request({ method: 'configured', id: bot }, { claimedDevice: 'node-9' })).deviceId).toBe('node-7');
    expect(identify(request({ method: 'none' }, { claimedDevice: 'node-9' })).deviceId).toBe('node-7');
  });

  it('that is a relay may name the device it speaks for', () => {
    expect(identify(request({ method: 'socket', id: gateway }, { claimedDevice: 'node-9' }))).toMatchObject({
      relay: true,
      deviceId: 'node-9',
    });
    expect(identify(request({ method: 'socket', id: gateway })).deviceId).toBe('node-7');
  });

  it('may stand on a device that nobody configured', () => {
    const anywhere = identifier({ relays: new Set(), deviceId: undefined });
    expect(anywhere(request({ method: 'socket', id: bot })).deviceId).toBeUndefined();
  });
});

describe('A03 a subject', () => {
  it('A03 is the caller, or nobody is named', () => {
    const caller = identify(request({ method: 'configured', id: bot }));
    expect(speaking(caller, bot)).toBe('may speak');
    expect(speaking(caller, undefined)).toBe('may speak');
    for (const other of [gateway, `${bot} `, bot.toUpperCase(), '', bot.slice(0, -1)]) {
      expect(speaking(caller, other)).toBe('subject_not_caller');
    }
  });

  it('A03 may be anybody where the caller is a relay', () => {
    const caller = identify(request({ method: 'socket', id: gateway }));
    expect(speaking(caller, bot)).toBe('may speak');
  });

  it('A03 is not the caller where the caller is nobody', () => {
    const caller = identify(request({ method: 'none' }));
    expect(speaking(caller, bot)).toBe('subject_not_caller');
    expect(speaking(caller, 'undefined')).toBe('subject_not_caller');
  });
});
