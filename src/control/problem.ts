// Tested by test/control/control.test.ts.
import type { Response } from 'express';
import { ControlRefused, publicMessages, RequestRefused, type SidecarError } from '../domain/errors.ts';
import type { Answer } from '../domain/request.ts';

/** RFC 9457 problem details: our code, our words, and nothing of what was asked but member names. */
export function problemOf(error: SidecarError): Answer {
  const status = statusOf(error);
  const detail =
    error instanceof ControlRefused ? error.detail : error instanceof RequestRefused ? error.at : undefined;
  return {
    status,
    headers: { 'content-type': 'application/problem+json', ...(status === 503 && { 'retry-after': '1' }) },
    body: JSON.stringify({
      type: `urn:postern:problem:${error.code}`,
      title: publicMessages[error.code],
      status,
      code: error.code,
      ...(detail !== undefined && { detail }),
    }),
  };
}

export function sendProblem(response: Response, error: SidecarError): void {
  const { status, headers, body } = problemOf(error);
  response.status(status).set(headers).send(body);
}

function statusOf(error: SidecarError): number {
  return error instanceof ControlRefused || error instanceof RequestRefused ? error.status : 500;
}
