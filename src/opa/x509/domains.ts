// Tested by test/opa/builtins/x509-certificates.test.ts.
/** The rule for domain names in a certificate: no label is empty, every character prints. */
export function domainLabelsValid(domain: string, constraint: boolean): boolean {
  if (domain === '') return true;
  if (domain.endsWith('.') || /[^!-~]/.test(domain)) return false;
  return (constraint && domain.startsWith('.') ? domain.slice(1) : domain).split('.').every((label) => label !== '');
}

export interface Mailbox {
  readonly local: string;
  readonly domain: string;
}

/** RFC 2821's mailbox; undefined for what is none. */
export function mailboxOf(text: string): Mailbox | undefined {
  const quoted = text.startsWith('"');
  const { local, rest } = quoted ? quotedLocal(text) : plainLocal(text);
  if (local === undefined || !rest.startsWith('@')) return undefined;
  const domain = rest.slice(1);
  const valid = domain === '' || (!/[^!-~]/.test(domain) && domain.split('.').every((label) => label !== ''));
  return valid ? { local, domain } : undefined;
}

interface Local {
  readonly local: string | undefined;
  readonly rest: string;
}

function plainLocal(text: string): Local {
  const [written = ''] = /^(?:\\[\s\S]|[0-9A-Za-z!#$%&'*+\-/=?^_`{|}~.])+/.exec(text) ?? [];
  const local = written.replace(/\\([\s\S])/g, '$1');
  return { local: /^$|^\.|\.\.|\.$/.test(local) ? undefined : local, rest: text.slice(written.length) };
}

function quotedLocal(text: string): Local {
  let local = '';
  for (let at = 1; at < text.length; at++) {
    let character = text.charAt(at);
    if (character === '"') return { local, rest: text.slice(at + 1) };
    if (character === '\\') {
      at++;
      character = text.charAt(at);
      if (!mayBeEscaped(character.charCodeAt(0))) break;
    } else if (!mayBeQuoted(character.charCodeAt(0))) break;
    local += character;
  }
  return { local: undefined, rest: '' };
}

/** Any ASCII but NUL, LF and CR. */
function mayBeEscaped(code: number): boolean {
  return code > 0 && code < 0x80 && code !== 0x0a && code !== 0x0d;
}

function mayBeQuoted(code: number): boolean {
  return mayBeEscaped(code) && code !== 0x09;
}
