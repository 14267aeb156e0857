import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { chmodSync, mkdirSync, mkdtempSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { request } from 'node:https';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { GenericContainer, type StartedTestContainer, Wait } from 'testcontainers';
import { type Certificate, makeCertificate } from '../support/certificates.ts';
import { labels, parts } from './parts.ts';
import { freePort } from './postern.ts';

const waitMs = 30_000;

/** A real nginx that serves files over TLS to whoever has the token, on one port for as long as the test lasts. */
export class Nginx {
  readonly #folder: string;
  readonly #port: number;
  readonly #authority: Certificate;
  readonly #token: string;
  #container: StartedTestContainer | undefined;
  #child: ChildProcess | undefined;

  private constructor(folder: string, port: number, authority: Certificate, token: string) {
    this.#folder = folder;
    this.#port = port;
    this.#authority = authority;
    this.#token = token;
  }

  static async make(token: string): Promise<Nginx> {
    const folder = mkdtempSync(join(tmpdir(), 'postern-nginx-'));
    mkdirSync(join(folder, 'files'));
    const authority = makeCertificate({ name: 'bundle authority' });
    const server = makeCertificate({ name: 'nginx', issuer: authority, hosts: ['127.0.0.1'] });
    const nginx = new Nginx(folder, await freePort(), authority, token);
    writeFileSync(join(folder, 'server.pem'), server.certificate);
    writeFileSync(join(folder, 'server.key'), server.key);
    // Whoever nginx runs as in its container has to read them; nothing of it is good for more than this test.
    chmodSync(folder, 0o755);
    chmodSync(join(folder, 'server.key'), 0o644);
    return nginx;
  }

  get url(): string {
    return `https://127.0.0.1:${this.#port}/authz.tar.gz`;
  }

  get authority(): string {
    return this.#authority.certificate;
  }

  /** Puts a bundle in the other's place; nginx makes its ETag of the file's time and size. */
  publish(bytes: Uint8Array): void {
    const path = join(this.#folder, 'files/authz.tar.gz');
    writeFileSync(`${path}.new`, bytes);
    renameSync(`${path}.new`, path);
  }

  async start(): Promise<void> {
    if (parts.mode === 'engine') await this.#startContainer(parts.images.nginx);
    else if (parts.mode === 'packages') await this.#startProgram(parts.trees.nginx);
    else throw new Error(parts.why);
    for (const deadline = Date.now() + waitMs; (await this.#status()) !== 401; await sleep(100)) {
      if (Date.now() > deadline) throw new Error('nginx did not become ready');
    }
  }

  async stop(): Promise<void> {
    await this.#container?.stop();
    this.#container = undefined;
    if (this.#child !== undefined) {
      const ended = once(this.#child, 'exit');
      this.#child.kill('SIGTERM');
      await ended;
      this.#child = undefined;
    }
  }

  async remove(): Promise<void> {
    await this.stop();
    rmSync(this.#folder, { recursive: true, force: true });
  }

  async #startContainer(image: string): Promise<void> {
    this.#configure('/served', '0.0.0.0:8443');
    this.#container = await new GenericContainer(image)
      .withLabels(labels)
      .withEntrypoint(['/usr/sbin/nginx'])
      .withCommand(['-e', '/dev/stderr', '-c', '/served/nginx.conf'])
      .withUser('65534:65534')
      .withBindMounts([{ source: this.#folder, target: '/served', mode: 'ro' }])
      .withExposedPorts({ container: 8443, host: this.#port })
      .withWaitStrategy(Wait.forLogMessage('start worker process'))
      .start();
  }

  /** By the loader that came with it, so that nothing of this machine's libraries has to fit. */
  async #startProgram(tree: string): Promise<void> {
    this.#configure(this.#folder, `127.0.0.1:${this.#port}`);
    const machine = process.arch === 'arm64' ? 'aarch64' : 'x86_64';
    const loader = join(tree, machine === 'aarch64' ? 'lib/ld-linux-aarch64.so.1' : 'lib64/ld-linux-x86-64.so.2');
    const libraries = ['lib', 'usr/lib'].map((name) => join(tree, name, `${machine}-linux-gnu`)).join(':');
    const program = ['--library-path', libraries, join(tree, 'usr/sbin/nginx')];
    const args = ['-e', '/dev/stderr', '-c', join(this.#folder, 'nginx.conf')];
    this.#child = spawn(loader, [...program, ...args], { stdio: 'ignore' });
  }

  #configure(at: string, listen: string): void {
    const temporary = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi']
      .map((name) => `${name}_temp_path /tmp/postern-nginx-${this.#port}-${name};`)
      .join(' ');
    const config = `
daemon off;
error_log stderr notice;
pid /tmp/postern-nginx-${this.#port}.pid;
worker_processes 1;
events {}
http {
  access_log off;
  ${temporary}
  server {
    listen ${listen} ssl;
    ssl_certificate ${at}/server.pem;
    ssl_certificate_key ${at}/server.key;
    root ${at}/files;
    default_type application/gzip;
    if ($http_authorization != "Bearer ${this.#token}") { return 401; }
  }
}`;
    writeFileSync(join(this.#folder, 'nginx.conf'), config);
  }

  /** What it answers to somebody without the token; undefined while nothing answers. */
  #status(): Promise<number | undefined> {
    return new Promise((resolve) => {
      request(this.url, { ca: this.authority, agent: false, timeout: 2_000 }, (response) => {
        response.resume();
        resolve(response.statusCode);
      })
        .on('error', () => resolve(undefined))
        .end();
    });
  }
}
