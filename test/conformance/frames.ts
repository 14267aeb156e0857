import type { Readable } from 'node:stream';

/** Contents that each stand behind their length as four big-endian bytes. */
export async function* framesOf(stream: Readable): AsyncGenerator<Buffer> {
  let waiting: Buffer[] = [];
  let held = 0;
  let needed = 4;
  let inLength = true;
  for await (const chunk of stream as AsyncIterable<Buffer>) {
    waiting.push(chunk);
    held += chunk.length;
    while (held >= needed) {
      const all = waiting.length === 1 && waiting[0] !== undefined ? waiting[0] : Buffer.concat(waiting);
      const frame = all.subarray(0, needed);
      waiting = [all.subarray(needed)];
      held -= needed;
      if (inLength) {
        needed = frame.readUInt32BE();
      } else {
        yield frame;
        needed = 4;
      }
      inLength = !inLength;
    }
  }
  if (held > 0 || !inLength) throw new Error('the stream of cases was cut short');
}
