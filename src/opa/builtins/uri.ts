// Tested by test/opa/builtins/texts.long.test.ts.
import { parseUrl, splitHostPort } from '../go/url.ts';
import { BuiltinError, type BuiltinFamily } from '../values/builtin.ts';
import { stringOperand } from '../values/operands.ts';
import { RegoObject } from '../values/value.ts';

export const builtins: BuiltinFamily = {
  // An empty text is a valid reference, and refused all the same: OPA has it so.
  'uri.is_valid': (_context, text) => typeof text === 'string' && text !== '' && parseUrl(text) !== undefined,

  'uri.parse': (_context, text) => {
    const url = parseUrl(stringOperand(text, 1));
    if (url === undefined) throw new BuiltinError('not a URI');
    const { hostname, port } = splitHostPort(url.host);
    const members = {
      scheme: url.scheme,
      hostname,
      port,
      path: url.path,
      raw_path: url.path === '' || url.rawPath !== '' ? url.rawPath : url.path,
      raw_query: url.rawQuery,
      fragment: url.fragment,
    };
    return new RegoObject(Object.entries(members).filter(([, value]) => value !== ''));
  },
};
