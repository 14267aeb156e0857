import { chmod, lstat, mkdir, unlink } from 'node:fs/promises';
import type { Server } from 'node:http';
import { type AddressInfo, connect } from 'node:net';
import { dirname } from 'node:path';
import { ListenFailed } from '../domain/errors.ts';

/** Listens on an address. Port 0 takes any free one. @returns the port that was taken */
export function listenOn(server: Server, host: string, port: number): Promise<number> {
  return new Promise((resolve, reject) => {
    server.once('error', (cause: NodeJS.ErrnoException) => reject(bindFault(`${host}:${port}`, cause)));
    server.listen({ host, port, exclusive: true }, () => resolve((server.address() as AddressInfo).port));
  });
}

/**
 * Listens on a Unix socket. A socket file that a crash left behind is replaced, but only if no process listens on it, and
 * only if it is a socket. A directory that is not there is made, for the owner and its group.
 */
export async function listenOnSocket(server: Server, path: string, mode: number): Promise<void> {
  await mkdir(dirname(path), { recursive: true, mode: 0o750 }).catch((cause: NodeJS.ErrnoException) => {
    throw bindFault(path, cause);
  });
  await removeStale(path);
  await new Promise<void>((resolve, reject) => {
    server.once('error', (cause: NodeJS.ErrnoException) => reject(bindFault(path, cause)));
    server.listen({ path }, resolve);
  });
  // Until here the socket has the umask's mode, which gives no other user the right to write and so to connect.
  await chmod(path, mode);
}

async function removeStale(path: string): Promise<void> {
  const found = await lstat(path).catch((cause: NodeJS.ErrnoException) => {
    if (cause.code === 'ENOENT') return undefined;
    throw bindFault(path, cause);
  });
  if (found === undefined) return;
  if (!found.isSocket()) throw new ListenFailed(`cannot listen on ${path}: something that is no socket stands there`);
  if (await answers(path)) throw new ListenFailed(`cannot listen on ${path}: another process listens there`);
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

function bindFault(where: string, cause: NodeJS.ErrnoException): ListenFailed {
  const why = cause.code === 'EADDRINUSE' ? 'it is taken' : (cause.code ?? cause.message);
  return new ListenFailed(`cannot listen on ${where}: ${why}`, { cause });
}
