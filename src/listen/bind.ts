import { chmod, lstat, unlink } from 'node:fs/promises';
import type { Server } from 'node:http';
import { type AddressInfo, connect } from 'node:net';

/** Listens on an address. Port 0 takes any free one. @returns the port that was taken */
export function listenOn(server: Server, host: string, port: number): Promise<number> {
  return new Promise((resolve, reject) => {
    server.once('error', (cause: NodeJS.ErrnoException) => reject(bindFault(`${host}:${port}`, cause)));
    server.listen({ host, port, exclusive: true }, () => resolve((server.address() as AddressInfo).port));
  });
}

/**
 * Listens on a Unix socket. A socket file that a crash left behind is replaced, but only if nobody listens on it, and
 * only if it is a socket.
 */
export async function listenOnSocket(server: Server, path: string, mode: number): Promise<void> {
  await removeStale(path);
  await new Promise<void>((resolve, reject) => {
    server.once('error', (cause: NodeJS.ErrnoException) => reject(bindFault(path, cause)));
    server.listen({ path }, resolve);
  });
  // Until here the socket has the umask's mode, which gives nobody else the right to write and so to connect.
  await chmod(path, mode);
}

async function removeStale(path: string): Promise<void> {
  const found = await lstat(path).catch((cause: NodeJS.ErrnoException) => {
    if (cause.code === 'ENOENT') return undefined;
    throw bindFault(path, cause);
  });
  if (found === undefined) return;
  if (!found.isSocket()) throw new Error(`cannot listen on ${path}: something that is no socket stands there`);
  if (await answers(path)) throw new Error(`cannot listen on ${path}: another process listens there`);
  await unlink(path);
}

function answers(path: string): Promise<boolean> {
  return new Promise((resolve) => {
    const probe = connect({ path });
    probe.once('connect', () => {
      probe.destroy();
      resolve(true);
    });
    probe.once('error', () => resolve(false));
  });
}

function bindFault(where: string, cause: NodeJS.ErrnoException): Error {
  const why = cause.code === 'EADDRINUSE' ? 'it is taken' : (cause.code ?? cause.message);
  return new Error(`cannot listen on ${where}: ${why}`, { cause });
}
