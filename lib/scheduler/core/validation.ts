import type { Any } from '@bufbuild/protobuf/wkt';
import type { Core } from './core.js';
import { NATIVE_ENDPOINT, NATIVE_WAIT } from './native-waits.js';

/** The protocol's limit of a message, in bytes. */
export const MESSAGE_LIMIT = 16_000_000;
/** The protocol's limit of results in a resume. */
export const MAX_RESULTS = 1_000;
/** What a request holds beside its input, at most. */
const INPUT_OVERHEAD = 4_096;
const MAX_NAME = 1_024;
/** Priorities go from minus this to this. */
export const MAX_PRIORITY = 100;
/** Characters of the longest key. */
export const MAX_KEY = 1_024;

const FUNCTION_NAME = /^[a-zA-Z_][a-zA-Z0-9_<>.]*$/;
const ENDPOINT = /^(https?:\/\/|bridge:\/\/|arn:aws:lambda)[^\0]*$/;

interface Target {
  readonly endpoint: string;
  readonly function: string;
  readonly version?: string;
  readonly input?: Any;
}

/** What is wrong with a call that a client dispatches; undefined when it is right. */
export function invalidCall(core: Core, call: Target): string | undefined {
  const name = call.function;
  if (typeof name !== 'string' || name === '') return 'a call names no function';
  // A function that is known has passed before.
  if (call.endpoint === NATIVE_ENDPOINT || core.functions.find(call.endpoint, name) === undefined) {
    const problem = invalidName(name) ?? invalidEndpoint(core, call.endpoint, name);
    if (problem !== undefined) return problem;
  }
  return invalidSize(call);
}

/** What is wrong with a call that a function makes; an empty endpoint is its own. */
export function invalidChild(core: Core, call: Target): string | undefined {
  if (call.endpoint === '')
    return call.function === '' ? 'a call names no function' : (invalidName(call.function) ?? invalidSize(call));
  if (call.endpoint !== NATIVE_ENDPOINT) return invalidCall(core, call);
  return call.function === NATIVE_WAIT ? invalidSize(call) : `the scheduler has no function '${call.function}'`;
}

function invalidName(name: string): string | undefined {
  if (name.length > MAX_NAME) return `the function name '${name.slice(0, 32)}…' has more than ${MAX_NAME} characters`;
  if (FUNCTION_NAME.test(name)) return undefined;
  return `the function name '${name}' does not match ${FUNCTION_NAME.source}`;
}

function invalidEndpoint(core: Core, endpoint: string, name: string): string | undefined {
  if (typeof endpoint !== 'string' || endpoint === '') return `the call of ${name} names no endpoint`;
  if (endpoint !== NATIVE_ENDPOINT && (ENDPOINT.test(endpoint) || core.transport.extended(endpoint))) return undefined;
  return `the endpoint '${endpoint}' of ${name} does not begin with http://, https://, bridge:// or arn:aws:lambda`;
}

function invalidSize(call: Target): string | undefined {
  // PostgreSQL's text has no place for it, and nobody means it.
  if (call.version?.includes('\0')) return `the version of ${call.function} has the character U+0000 in it`;
  if ((call.version?.length ?? 0) > MAX_NAME)
    return `the version of ${call.function} has more than ${MAX_NAME} characters`;
  const bytes = (call.input?.value.length ?? 0) + (call.input?.typeUrl.length ?? 0);
  if (bytes <= MESSAGE_LIMIT - INPUT_OVERHEAD) return undefined;
  return `the input of ${call.function} takes ${bytes} bytes, more than the ${MESSAGE_LIMIT} of a request: pass a reference`;
}
