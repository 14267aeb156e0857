import type { Response } from 'express';
import { ControlRefused, publicMessages, RequestRefused, type SidecarError } from '../domain/errors.ts';

/** Answers with RFC 9457 problem details: our code, our words, and nothing of what was asked but member names. */
export function sendProblem(response: Response, error: SidecarError): void {
  const status = statusOf(error);
  const detail =
    error instanceof ControlRefused ? error.detail : error instanceof RequestRefused ? error.at : undefined;
  if (status === 503) response.set('retry-after', '1');
  response
    .status(status)
    .type('application/problem+json')
    .send(
      JSON.stringify({
        type: `urn:postern:problem:${error.code}`,
        title: publicMessages[error.code],
        status,
        code: error.code,
        ...(detail !== undefined && { detail }),
      }),
    );
}

function statusOf(error: SidecarError): number {
  return error instanceof ControlRefused || error instanceof RequestRefused ? error.status : 500;
}
