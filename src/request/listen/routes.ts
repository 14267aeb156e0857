// Tested by test/request/listen/decision-listener.test.ts.
import { RequestRefused } from '../../domain/errors.ts';
import type { Surface } from '../../domain/request.ts';

export const evaluationPath = '/access/v1/evaluation';
export const metadataPath = '/.well-known/authzen-configuration';
/** The same request, answered so that a PEP need read nothing but the status. */
export const httpEvaluationPath = '/http/v1/evaluation';
const dataPrefix = '/v1/data';

export type Route =
  | { readonly kind: 'decide'; readonly surface: Surface; readonly entrypoint: string }
  | { readonly kind: 'metadata' };

/**
 * Which route a request target names. Paths are compared unchanged, never normalised, so that a proxy before or a
 * server behind cannot read the same target as another path; only the segments of OPA's data path are decoded, once.
 *
 * @param target origin-form, with its query if any (RFC 9112 section 3.2.1)
 * @throws RequestRefused `target_invalid` 400, `route_unknown` 404, `method_not_allowed` 405
 */
export function route(method: string, target: string, entrypoint: string): Route {
  if (!target.startsWith('/') || target.includes('#')) throw new RequestRefused('target_invalid', 400);
  const query = target.indexOf('?');
  const path = query < 0 ? target : target.slice(0, query);
  switch (path) {
    case evaluationPath:
      requireMethod(method, 'POST');
      return { kind: 'decide', surface: 'authzen', entrypoint };
    case httpEvaluationPath:
      requireMethod(method, 'POST');
      return { kind: 'decide', surface: 'http', entrypoint };
    case metadataPath:
      requireMethod(method, 'GET');
      return { kind: 'metadata' };
    default:
  }
  if (path !== dataPrefix && !path.startsWith(`${dataPrefix}/`)) throw new RequestRefused('route_unknown', 404);
  const asked = dataPath(path.slice(dataPrefix.length + 1));
  requireMethod(method, 'POST');
  return { kind: 'decide', surface: 'opa', entrypoint: asked };
}

/** Only a name to look up in the bundle's table of entrypoints: it is never made into a query. */
function dataPath(text: string): string {
  let segments: readonly string[];
  try {
    segments = text.split('/').map(decodeURIComponent);
  } catch {
    throw new RequestRefused('target_invalid', 400);
  }
  if (/\p{Cc}/u.test(segments.join(''))) throw new RequestRefused('target_invalid', 400);
  if (segments[0] === 'system') throw new RequestRefused('route_unknown', 404);
  // A decoded slash would make two paths of one.
  if (segments.some((segment) => segment.includes('/'))) throw new RequestRefused('route_unknown', 404);
  return segments.join('/');
}

export class MethodNotAllowed extends RequestRefused {
  readonly allow: string;

  constructor(allow: string) {
    super('method_not_allowed', 405);
    this.allow = allow;
  }
}

function requireMethod(method: string, allowed: 'GET' | 'POST'): void {
  if (method !== allowed) throw new MethodNotAllowed(allowed);
}

/** How a refusal before routing, or of the route itself, is worded: by the path it was sent to, as far as it is known. */
export function surfaceOf(target: string): Surface {
  if (target.startsWith('/access/')) return 'authzen';
  return target === dataPrefix || target.startsWith(`${dataPrefix}/`) ? 'opa' : 'http';
}
