import { createHash } from 'node:crypto';
import { chmodSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join, relative } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { AuthorFault } from '../../src/author/author-fault.ts';
import { findOpa } from '../../src/author/find-opa.ts';

let root: string;
let said: string[];
beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), 'postern-opa-'));
  said = [];
});
afterEach(() => rmSync(root, { recursive: true }));

function program(name: string, script: string): string {
  const path = join(root, name);
  mkdirSync(dirname(path), { recursive: true });
  writeFileSync(path, `#!/bin/sh\n${script}\n`);
  chmodSync(path, 0o755);
  return path;
}

const opa = (name: string, version: string) => program(name, `echo "Version: ${version}"`);

function find(env: Readonly<Record<string, string>>) {
  return findOpa({ env, toolsDirectory: join(root, 'tools'), say: (line) => said.push(line) });
}

const sha256 = (path: string) => createHash('sha256').update(readFileSync(path)).digest('hex');

describe('OPA by name', () => {
  it('comes before anything on PATH', async () => {
    const path = opa('mine/opa', '1.22.0');
    opa('bin/opa', '1.22.2');
    expect(await find({ OPA: path, PATH: join(root, 'bin') })).toEqual({ path, version: '1.22.0', from: 'OPA' });
  });

  it('may be a name on PATH', async () => {
    const path = opa('bin/opa-1.22', '1.22.2');
    expect(await find({ OPA: 'opa-1.22', PATH: join(root, 'bin') })).toEqual({ path, version: '1.22.2', from: 'OPA' });
  });

  it.each(['1.21.9', '1.23.0', '0.70.0', '11.22.2', '1.220.1'])(
    'is refused as version %s, and nothing else is taken',
    async (version) => {
      opa('bin/opa', '1.22.2');
      await expect(find({ OPA: opa('mine/opa', version), PATH: join(root, 'bin') })).rejects.toThrow(
        `is version ${version}; 1.22 is needed`,
      );
    },
  );

  it.each([
    ['is not there', () => join(root, 'nothing')],
    ['is no OPA', () => program('mine/opa', 'echo hello')],
    ['does not run', () => program('mine/opa', 'exit 3')],
  ])('is refused if it %s', async (_, path) => {
    await expect(find({ OPA: path(), PATH: '' })).rejects.toThrow('is not an OPA that runs here');
  });
});

describe('OPA on PATH', () => {
  it('is the first of the supported line; others are skipped with a message', async () => {
    const old = opa('old/opa', '0.70.0');
    const path = opa('bin/opa', '1.22.7');
    expect(await find({ PATH: `${join(root, 'old')}:${join(root, 'bin')}` })).toEqual({
      path,
      version: '1.22.7',
      from: 'PATH',
    });
    expect(said).toEqual([`${old} is skipped: version 0.70.0`]);
  });

  it('is not looked for in directories that are relative', async () => {
    opa('bin/opa', '1.22.2');
    const there = relative(process.cwd(), join(root, 'bin'));
    await expect(find({ PATH: `${there}::.:` })).rejects.toThrow('neither OPA nor Go was found');
  });
});

describe('neither OPA nor Go', () => {
  it.each([[{}], [{ PATH: '' }]])('is said plainly, with what can be done', async (env) => {
    await expect(find(env)).rejects.toMatchObject({
      faults: [
        'OPA 1.22 is needed to build policies, and neither OPA nor Go was found. Do one of these:',
        expect.stringContaining('on PATH, or name it in OPA'),
        expect.stringContaining('.tools/bin/opa'),
        expect.stringContaining('Go on PATH'),
        expect.stringContaining('committed bundle needs neither'),
      ],
    });
  });
});

describe('OPA_SHA256', () => {
  it('takes that very file', async () => {
    const path = opa('bin/opa', '1.22.2');
    const env = { PATH: join(root, 'bin'), OPA_SHA256: sha256(path).toUpperCase() };
    expect((await find(env)).path).toBe(path);
  });

  it('takes no other, wherever it comes from', async () => {
    const path = opa('bin/opa', '1.22.2');
    const env = { PATH: join(root, 'bin'), OPA_SHA256: '0'.repeat(64) };
    await expect(find(env)).rejects.toThrow('OPA_SHA256 asks for');
    await expect(find({ ...env, OPA: path })).rejects.toThrow('OPA_SHA256 asks for');
  });
});

describe('OPA in the tools directory', () => {
  it('is taken with its SHA-256 beside it', async () => {
    const path = opa('tools/bin/opa', '1.22.2');
    writeFileSync(`${path}.sha256`, `${sha256(path)}  opa_linux_amd64_static\n`);
    expect(await find({ PATH: '' })).toEqual({ path, version: '1.22.2', from: 'tools' });
  });
});

/** Stands for Go: answers what was asked of it last, and installs a program in OPA's place. */
function go(sum: string, installs: string): void {
  program(
    'go/go',
    `case "$1" in
mod) echo '{"Path": "github.com/open-policy-agent/opa", "Sum": "${sum}"}' ;;
install)
  env > "${root}/environment"
  echo "$@" > "${root}/arguments"
  ${installs} ;;
esac`,
  );
}
const pinned = 'h1:WzqReKk2VjcvBN/NQTlcIxKqFPKpzIdb6KYMHzPEbe0=';
const installing = (version: string) =>
  `printf '#!/bin/sh\\necho "Version: ${version}"\\n' > "$GOBIN/opa"; chmod 755 "$GOBIN/opa"`;
const withGo = () => ({ PATH: `${join(root, 'go')}:/usr/bin:/bin`, HOME: root });

describe('an OPA that Go installs', () => {
  it('is the pinned module, kept for the next time', async () => {
    go(pinned, installing('1.22.2'));
    const path = join(root, 'tools/bin/opa');
    expect(await find(withGo())).toEqual({ path, version: '1.22.2', from: 'go install' });
    expect(readFileSync(join(root, 'arguments'), 'utf8')).toContain('github.com/open-policy-agent/opa@v1.22.2');
    expect(await find({ PATH: '' })).toEqual({ path, version: '1.22.2', from: 'tools' });
  });

  it('replaces one in the tools directory whose SHA-256 is another, or is not written down', async () => {
    go(pinned, installing('1.22.2'));
    const path = opa('tools/bin/opa', '1.22.1');
    expect((await find(withGo())).from).toBe('go install');
    opa('tools/bin/opa', '1.22.1');
    expect((await find(withGo())).from).toBe('go install');
    expect(said.filter((line) => line.startsWith(`${path} is skipped`))).toHaveLength(2);
  });

  it('replaces one of another version', async () => {
    go(pinned, installing('1.22.2'));
    const path = opa('tools/bin/opa', '1.21.0');
    writeFileSync(`${path}.sha256`, sha256(path));
    expect((await find(withGo())).version).toBe('1.22.2');
    expect(said[0]).toBe(`${path} is skipped: version 1.21.0`);
  });

  it('is verified, whatever the environment would let pass', async () => {
    go(pinned, installing('1.22.2'));
    const lax = {
      GOSUMDB: 'off',
      GONOSUMDB: '*',
      GONOSUMCHECK: '1',
      GOINSECURE: '*',
      GOPRIVATE: '*',
      GOFLAGS: '-mod=vendor',
    };
    await find({ ...withGo(), ...lax });
    const environment = readFileSync(join(root, 'environment'), 'utf8');
    expect(environment).not.toMatch(/^(GOSUMDB|GONOSUMDB|GONOSUMCHECK|GOINSECURE|GOPRIVATE)=/m);
    expect(environment).not.toContain('vendor');
  });

  it('may be verified by another checksum database', async () => {
    go(pinned, installing('1.22.2'));
    await find({ ...withGo(), GOSUMDB: 'sum.example+key' });
    expect(readFileSync(join(root, 'environment'), 'utf8')).toMatch(/^GOSUMDB=sum\.example\+key$/m);
  });

  it('finds a place of its own where there is no home', async () => {
    go(pinned, installing('1.22.2'));
    await find({ PATH: withGo().PATH });
    expect(readFileSync(join(root, 'environment'), 'utf8')).toContain(`GOPATH=${join(root, 'tools/go')}\n`);
  });

  it.each([
    ['the module’s source is another', 'h1:AAAA', installing('1.22.2'), 'is pinned'],
    ['it is of another version', pinned, installing('1.22.1'), '1.22.2 was asked for'],
    ['it does not run', pinned, ':', 'OPA undefined'],
    ['the build fails', pinned, 'echo no space left >&2; exit 1', 'no space left'],
  ])('is not taken if %s', async (_, sum, installs, message) => {
    go(sum, installs);
    await expect(find(withGo())).rejects.toThrow(message);
    await expect(find(withGo())).rejects.toThrow(AuthorFault);
    expect(() => readFileSync(join(root, 'tools/bin/opa'))).toThrow();
  });

  it('is not taken if the module cannot be downloaded', async () => {
    program('go/go', 'echo "no such host" >&2; exit 1');
    await expect(find(withGo())).rejects.toThrow(/module cannot be downloaded:\nno such host/);
  });
});
