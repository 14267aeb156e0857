// Tested by test/knowledge/store/open-stores.long.test.ts.
import { types } from 'node:util';
import type { MessagePort } from 'node:worker_threads';
import type { Change } from './backing.ts';
import { StoreFile } from './store-file.ts';

export type StoreCall = { readonly call: 'commit'; readonly changes: readonly Change[] } | { readonly call: 'close' };

export type StoreReply =
  | { readonly reply: 'loaded'; readonly records: Map<string, string>; readonly unreadable: readonly string[] }
  | { readonly reply: 'done' }
  | { readonly reply: 'failed'; readonly reason: string };

/** Owns the environment and answers each call with one reply, in order. The first reply says what it holds. */
export async function serveStore(directory: string, port: MessagePort): Promise<void> {
  const reply = (message: StoreReply): void => port.postMessage(message);
  let file: StoreFile;
  try {
    file = await StoreFile.open(directory);
    reply({ reply: 'loaded', ...file.readAll() });
  } catch (cause) {
    reply({ reply: 'failed', reason: reasonOf(cause) });
    port.close();
    return;
  }
  port.on('message', async (message: StoreCall) => {
    try {
      if (message.call === 'commit') file.commit(message.changes);
      else await file.close();
      reply({ reply: 'done' });
    } catch (cause) {
      reply({ reply: 'failed', reason: reasonOf(cause) });
    }
    if (message.call === 'close') port.close();
  });
}

function reasonOf(cause: unknown): string {
  return types.isNativeError(cause) ? cause.message : String(cause);
}
