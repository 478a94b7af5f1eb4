/** The Connect protocol over HTTP, unary: paths, content types and the shape of errors. */

export const FUNCTION_SERVICE_PATH = '/dispatch.sdk.v1.FunctionService/';
export const RUN_PATH = `${FUNCTION_SERVICE_PATH}Run`;
export const DISPATCH_PATH = '/dispatch.sdk.v1.DispatchService/Dispatch';

export const PROTO_TYPE = 'application/proto';
export const JSON_TYPE = 'application/json';

/** Header fields as servers have them, with names in lower case. */
export type RequestHeaders = Readonly<Record<string, string | readonly string[] | undefined>>;

/**
 * An endpoint of this package says in each answer that it reads this package's own values (several arguments, Map, Set,
 * …), which nobody else does.
 */
export const VALUES_HEADER = 'dispatch-values';
export const OWN_VALUES = 'nestjs_dispatch.v1';

export type ConnectCode =
  'invalid_argument' | 'unauthenticated' | 'permission_denied' | 'not_found' | 'deadline_exceeded' | 'internal';

const HTTP_STATUS: Readonly<Record<ConnectCode, number>> = {
  invalid_argument: 400,
  unauthenticated: 401,
  permission_denied: 403,
  not_found: 404,
  // Of the two that Connect has had for it, the one that is no fault of the server.
  deadline_exceeded: 408,
  internal: 500,
};

/** A refusal that the other side is told of: a code and a sentence, nothing else. */
export class ConnectError extends Error {
  override readonly name = 'ConnectError';

  constructor(
    readonly code: ConnectCode,
    message: string,
  ) {
    super(message);
  }

  get httpStatus(): number {
    return HTTP_STATUS[this.code];
  }

  /** The body of the answer: `{"code": …, "message": …}`. */
  toBody(): Uint8Array {
    return new TextEncoder().encode(JSON.stringify({ code: this.code, message: this.message }));
  }
}

/** The sentence in an error's body; undefined when the body is not one of Connect. */
export function readErrorMessage(body: Uint8Array): string | undefined {
  if (body.byteLength > 100_000) return undefined;
  try {
    const parsed: unknown = JSON.parse(new TextDecoder().decode(body));
    if (typeof parsed !== 'object' || parsed === null || !('message' in parsed)) return undefined;
    return typeof parsed.message === 'string' ? parsed.message : undefined;
  } catch {
    return undefined;
  }
}

/**
 * Our scheduler tells our endpoints the attempt of a run by this, from the second one on: the protocol has no field for it.
 * A signature covers it.
 */
export const ATTEMPT_HEADER = 'dispatch-attempt';
const MOST_ATTEMPTS = 999_999_999;

export function attemptHeader(attempt: number | undefined): Record<string, string> {
  return attempt === undefined || attempt <= 1 ? {} : { [ATTEMPT_HEADER]: String(Math.min(attempt, MOST_ATTEMPTS)) };
}

/** @throws ConnectError where the header is there, and is none of ours */
export function readAttempt(header: string | undefined): number | undefined {
  if (header === undefined) return undefined;
  if (!/^[1-9]\d{0,8}$/.test(header))
    throw new ConnectError('invalid_argument', 'Dispatch-Attempt is no attempt: 1, 2, …');
  return Number(header);
}

/** The address of a method below a service's address, which may have a path of its own. */
export function methodUrl(base: URL, path: string): URL {
  const url = new URL(base);
  url.pathname = url.pathname.replace(/\/+$/, '') + path;
  return url;
}
