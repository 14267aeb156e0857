import { lstat, mkdtemp, rename, rm, symlink, writeFile } from 'node:fs/promises';
import { createServer as createHttpServer, type Server } from 'node:http';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { listenOn, listenOnSocket } from '../../src/http/bind.ts';
import { RawConnection } from '../support/raw-http.ts';

let directory: string;
let path: string;
const servers: Server[] = [];

beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'bind-'));
  path = join(directory, 'agent.sock');
});

afterEach(async () => {
  for (const server of servers.splice(0)) {
    server.closeAllConnections();
    await new Promise((resolve) => server.close(resolve));
  }
  await rm(directory, { recursive: true });
});

function server(): Server {
  const made = createHttpServer((_request, response) => response.end('here'));
  servers.push(made);
  return made;
}

/** Leaves a socket file that nobody listens on, as a crash does: Node removes only a file of the name it opened. */
async function leaveStale(): Promise<void> {
  const crashed = createServer();
  await new Promise<void>((resolve) => crashed.listen({ path: `${path}.old` }, resolve));
  await rename(`${path}.old`, path);
  await new Promise((resolve) => crashed.close(resolve));
}

describe('a TCP address', () => {
  it('may leave the port to the system, and is told which it is', async () => {
    const port = await listenOn(server(), '127.0.0.1', 0);
    expect(port).toBeGreaterThan(0);
    const connection = await RawConnection.open({ port });
    connection.destroy();
  });

  it('X07 that is taken is a clear fault', async () => {
    const port = await listenOn(server(), '127.0.0.1', 0);
    await expect(listenOn(server(), '127.0.0.1', port)).rejects.toThrow(
      `cannot listen on 127.0.0.1:${port}: it is taken`,
    );
  });

  it('X07 that is not this machine’s is a clear fault', async () => {
    await expect(listenOn(server(), '192.0.2.1', 0)).rejects.toThrow('cannot listen on 192.0.2.1:0: EADDRNOTAVAIL');
  });
});

describe('a Unix socket', () => {
  it('has the mode that was asked for', async () => {
    await listenOnSocket(server(), path, 0o660);
    expect((await lstat(path)).mode & 0o777).toBe(0o660);
    const connection = await RawConnection.open({ path });
    connection.destroy();
  });

  it('X07 left behind by a crash is replaced', async () => {
    await leaveStale();
    expect((await lstat(path)).isSocket()).toBe(true);
    await listenOnSocket(server(), path, 0o600);
    const connection = await RawConnection.open({ path });
    await connection.write('GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n');
    expect((await connection.end()).text).toContain('here');
  });

  it('X07 that somebody listens on is not replaced', async () => {
    await listenOnSocket(server(), path, 0o600);
    await expect(listenOnSocket(server(), path, 0o600)).rejects.toThrow(
      `cannot listen on ${path}: another process listens there`,
    );
    const connection = await RawConnection.open({ path });
    connection.destroy();
  });

  it('X07 does not replace a file, nor follow a link', async () => {
    await writeFile(path, 'precious');
    await expect(listenOnSocket(server(), path, 0o600)).rejects.toThrow('something that is no socket stands there');
    await rm(path);
    await symlink('/etc/passwd', path);
    await expect(listenOnSocket(server(), path, 0o600)).rejects.toThrow('something that is no socket stands there');
  });

  it('brings its folder with it, for the owner and its group', async () => {
    const deep = join(directory, 'run', 'postern', 'agent.sock');
    await listenOnSocket(server(), deep, 0o600);
    expect((await lstat(deep)).isSocket()).toBe(true);
    expect((await lstat(join(directory, 'run'))).mode & 0o007).toBe(0);
  });

  it('X07 whose folder cannot be made is a clear fault', async () => {
    await writeFile(join(directory, 'file'), '');
    const beneath = join(directory, 'file', 'run', 'agent.sock');
    await expect(listenOnSocket(server(), beneath, 0o600)).rejects.toThrow(`cannot listen on ${beneath}: `);
  });
});
