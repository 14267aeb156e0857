import { describe, expect, it } from '@jest/globals';
import { parseConfig } from '../../src/config/config.ts';
import { ConfigRefused } from '../../src/domain/errors.ts';

const surroundings = { hostname: 'host', directory: '/srv' };
const rest = `
store: {directory: state/store}
record: {file: state/decisions.jsonl}
control: {tokens: [{name: ops, file: control.token}]}
decision: {sockets: [{path: /run/agent/a.sock, identity: {id: a}}]}
`;
const keys = 'keys: [{id: k, file: k.pem, algorithm: ES256}]';

function faults(bundle: string): readonly string[] {
  try {
    parseConfig(`bundle: ${bundle}\n${rest}`, {}, surroundings);
    return [];
  } catch (cause) {
    if (cause instanceof ConfigRefused) return cause.faults;
    throw cause;
  }
}

function parsed(bundle: string) {
  return parseConfig(`bundle: ${bundle}\n${rest}`, {}, surroundings).bundle;
}

describe('where a bundle comes from', () => {
  it('is said once', () => {
    expect(faults('{name: a}')).toEqual(['bundle: exactly one of file, directory and http is needed; none is set']);
    expect(faults('{file: a.tar.gz, directory: b}')).toEqual([
      'bundle: exactly one of file, directory and http is needed; file and directory are set',
    ]);
    expect(faults('{file: a.tar.gz, data: [{name: d}]}')).toEqual([
      'bundle.data[0]: exactly one of file, directory and http is needed; none is set',
    ]);
    expect(faults('{file: a.tar.gz, shadow: {name: s}}')).toEqual([
      'bundle.shadow: exactly one of file, directory and http is needed; none is set',
    ]);
  });

  it.each([
    ['{file: x/authz.tar.gz}', 'authz'],
    ['{directory: /etc/bundles/authz}', 'authz'],
    ['{http: {url: "https://b.acme.example/bundles/authz.tar.gz?x=1"}, keep: k}', 'authz'],
    ['{http: {url: "https://b.acme.example/"}, keep: k}', 'bundle'],
    ['{file: x/authz.tar.gz, name: other}', 'other'],
  ])('gives the bundle its name: %s', (bundle, name) => {
    expect(parsed(bundle).name).toBe(name);
  });

  it.each([
    'ftp://a.example/b',
    'https://user:CANARY@a.example/b',
    'https://a.example/b#c',
    'https://a.example/ b',
    'bundles/a',
  ])('is no URL such as %s', (url) => {
    const [fault = ''] = faults(`{http: {url: ${JSON.stringify(url)}}, keep: k}`);
    expect(fault).toMatch(/^bundle\.http\.url: expected a URL such as /);
    expect(fault).not.toContain('CANARY');
  });
});

describe('a bundle from a server', () => {
  it('is taken over TLS, from this machine, or signed', () => {
    expect(faults('{http: {url: "https://b.acme.example/a"}, keep: k}')).toEqual([]);
    for (const host of ['127.0.0.1:80', 'localhost', '[::1]:8080'])
      expect(faults(`{http: {url: "http://${host}/a"}, keep: k}`)).toEqual([]);
    expect(faults(`{http: {url: "http://b.acme.example/a"}, keep: k, signing: {${keys}}}`)).toEqual([]);
    for (const signing of ['', `, signing: {required: false, ${keys}}`]) {
      expect(faults(`{http: {url: "http://b.acme.example/a"}, keep: k${signing}}`)).toEqual([
        'bundle.http.url: a server beyond loopback without TLS and without a required signature: others on the network could replace the policy',
      ]);
    }
  });

  it('never gets a token in the clear', () => {
    expect(faults(`{http: {url: "http://b.example/a", bearer_file: t}, keep: k, signing: {${keys}}}`)).toEqual([
      'bundle.http.bearer_file: the token would cross the network in the clear: use https',
    ]);
    expect(faults('{file: a, status: {url: "http://b.example/s", bearer_file: t}}')).toEqual([
      'bundle.status.bearer_file: the token would cross the network in the clear: use https',
    ]);
  });

  it('needs a place where what served is remembered', () => {
    expect(faults('{http: {url: "https://b.example/a"}}')).toEqual([
      'bundle.keep: required with bundle.http: a restart must know which bundle was active before',
    ]);
    expect(faults('{file: a, shadow: {name: s, http: {url: "https://b.example/a"}}}')).toEqual([
      'bundle.keep: required with bundle.shadow.http: a restart must know which bundle was active before',
    ]);
  });

  it('has delays in order, and a certificate with its key', () => {
    expect(faults('{http: {url: "https://b.example/a", min_delay_s: 9, max_delay_s: 8}, keep: k}')).toEqual([
      'bundle.http.min_delay_s: more than max_delay_s, which is 8',
    ]);
    expect(faults('{http: {url: "https://b.example/a", key_file: k.pem}, keep: k}')).toEqual([
      'bundle.http: certificate_file and key_file belong together; only one is set',
    ]);
  });
});

describe('V01 signing', () => {
  it('is required where it is configured, and has keys with algorithms', () => {
    expect(parsed(`{file: a, signing: {${keys}}}`).signing?.required).toBe(true);
    expect(faults('{file: a, signing: {}}')).toEqual([
      'bundle.signing.keys: at least one key is needed to verify signatures',
    ]);
    expect(faults('{file: a, signing: {keys: [{id: k, file: k.pem}]}}')).toHaveLength(1);
    expect(faults('{file: a, signing: {keys: [{id: k, file: k.pem, algorithm: HS256}]}}')[0]).toContain(
      'bundle.signing.keys[0].algorithm',
    );
    expect(
      faults(
        '{file: a, signing: {keys: [{id: k, file: k.pem, algorithm: ES256}, {id: k, file: l.pem, algorithm: ES256}]}}',
      ),
    ).toEqual(['bundle.signing.keys[1].id: an earlier entry has the same name']);
  });
});

describe('bundles that stand beside each other', () => {
  it('have names of their own', () => {
    expect(
      faults('{file: a.tar.gz, data: [{name: a, file: b}, {name: c, file: d}], shadow: {name: c, file: e}}'),
    ).toEqual([
      'bundle.data[0].name: another bundle has the same name',
      'bundle.shadow.name: another bundle has the same name',
    ]);
  });

  it('and their keys and tokens stand where no agent reaches', () => {
    expect(
      faults(
        '{file: a, keep: /run/agent/k, data: [{name: d, file: /run/agent/d, signing: {keys: [{id: k, file: /run/agent/k.pem, algorithm: ES256}]}}]}',
      ).map((fault) => fault.split(':')[0]),
    ).toEqual(['bundle.keep', 'bundle.data[0].file', 'bundle.data[0].signing.keys[0].file']);
  });
});
