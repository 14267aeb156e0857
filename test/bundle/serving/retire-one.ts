import { Retirement } from '../../../src/bundle/serving/retirement.ts';
import type { PolicyImage } from '../../../src/request/evaluate/policy-image.ts';
import { realTimers } from '../../../src/system/real-timers.ts';

// retire-one [unheld]: a process of its own, as a test runner holds on to what it has seen. Says when the memory was
// collected, and ends.
const collected = new FinalizationRegistry(() => {
  console.log('collected');
  process.exit();
});
const retirement = new Retirement(realTimers);

/** In a function of its own, whose frame is gone when it returns: it would hold the memory. */
function retireOne(): void {
  // One that is not shared cannot be given to a thread, which then does not start, as where the machine has none left.
  const shared = process.argv[2] !== 'unheld';
  const memory = new WebAssembly.Memory({ initial: 1_024, maximum: 1_024, shared });
  collected.register(memory, undefined);
  retirement.take({ memory } as PolicyImage);
}

retireOne();
setTimeout(() => process.exit(1), 20_000);
