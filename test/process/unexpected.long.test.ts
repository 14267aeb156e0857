import { connect } from 'node:net';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { asking, evaluation } from './client.ts';
import { raw } from './load.ts';
import { Place } from './sidecar-process.ts';

const preload = new URL('./throws-when-told.ts', import.meta.url).href;

let place: Place;
beforeEach(async () => {
  place = await Place.make();
});
afterEach(() => place.remove());

describe('X06 what nobody caught', () => {
  it.each(['an exception', 'a rejection', 'a rejection with a text', 'an error event without a listener'])(
    'X06 %s is told once and ends the sidecar, whatever is in flight; what was decided is on record',
    async (fault) => {
      const sidecar = await place.start({ nodeFlags: ['--import', preload], env: { FAULT: fault } });
      const dawdling = connect({ host: '127.0.0.1', port: sidecar.port('decision') });
      let said = '';
      dawdling.on('data', (chunk) => {
        said += chunk;
      });
      dawdling.on('error', () => undefined);
      dawdling.write(raw(asking('canary')).slice(0, -20));
      await sidecar.inFlight(1);
      expect((await sidecar.decision().post(evaluation, asking('canary'))).status).toBe(200);
      sidecar.signal('SIGUSR2');
      expect(await sidecar.exited).toEqual({ code: 1, signal: null });
      const told = sidecar.output.split('\n').filter((line) => line.includes('an unexpected fault ends the sidecar'));
      expect(told).toHaveLength(1);
      expect(told[0]).toContain('nobody catches this');
      expect(said).toBe('');
      expect(await place.events()).toHaveLength(1);
      const again = await place.start();
      expect((await again.decision().post(evaluation, asking('canary'))).body).toContain('"decision":true');
    },
    30_000,
  );
});
