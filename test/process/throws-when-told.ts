import { EventEmitter } from 'node:events';

// Read before the sidecar's own program, in the same process: on SIGUSR2 something goes wrong that nobody catches.
const faults: Readonly<Record<string, () => void>> = {
  'an exception': () => {
    throw new Error('nobody catches this');
  },
  'a rejection': () => {
    void Promise.reject(new Error('nobody catches this'));
  },
  'a rejection with a text': () => {
    void Promise.reject('nobody catches this');
  },
  'an error event without a listener': () => {
    new EventEmitter().emit('error', new Error('nobody catches this'));
  },
};

process.on('SIGUSR2', () => faults[process.env['FAULT'] ?? '']?.());
