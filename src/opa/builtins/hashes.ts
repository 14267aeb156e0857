// Tested by test/opa/builtins/tokens.long.test.ts.
import { createHash, createHmac, timingSafeEqual } from 'node:crypto';
import type { Builtin, BuiltinFamily } from '../values/builtin.ts';
import { stringOperand } from '../values/operands.ts';
import { bytesOf } from '../values/text.ts';

export const builtins: BuiltinFamily = {
  'crypto.md5': hash('md5'),
  'crypto.sha1': hash('sha1'),
  'crypto.sha256': hash('sha256'),
  'crypto.hmac.md5': hmac('md5'),
  'crypto.hmac.sha1': hmac('sha1'),
  'crypto.hmac.sha256': hmac('sha256'),
  'crypto.hmac.sha512': hmac('sha512'),
  'crypto.hmac.equal': (_context, first, second) => {
    const a = bytesOf(stringOperand(first, 1));
    const b = bytesOf(stringOperand(second, 2));
    return a.length === b.length && timingSafeEqual(a, b);
  },
};

function hash(algorithm: string): Builtin {
  return (context, text) => {
    const bytes = bytesOf(stringOperand(text, 1));
    context.charge(bytes.length / 1_000);
    return createHash(algorithm).update(bytes).digest('hex');
  };
}

function hmac(algorithm: string): Builtin {
  return (context, text, key) => {
    const bytes = bytesOf(stringOperand(text, 1));
    context.charge(bytes.length / 1_000);
    return createHmac(algorithm, bytesOf(stringOperand(key, 2)))
      .update(bytes)
      .digest('hex');
  };
}
