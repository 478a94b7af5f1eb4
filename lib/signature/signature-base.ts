import { type InnerList, serializeInnerList, serializeString } from 'structured-headers';
import { type Fields, fieldValue, type Target } from './http-request.js';
import { unauthenticated } from './signature.error.js';

/** What a signature of ours covers and a verified one must. */
const COMPONENTS = ['@method', '@path', '@authority', 'content-type', 'content-digest'];
/** The same for fields that not all requests have. */
const FIELDS = ['dispatch-attempt'];

export const componentsOf = (fields: Fields): string[] => [...COMPONENTS, ...FIELDS.filter((name) => fields.has(name))];

/** A request, as far as components of a signature are taken from it. */
export interface Message {
  readonly method: string;
  readonly target: Target;
  readonly fields: Fields;
}

/**
 * The signature base (RFC 9421, section 2.5): the text that is signed.
 *
 * Components with parameters (`;sf`, `;bs`, `;key`, `;req`, `;tr`) are refused: they would be read differently from how
 * this package reads the request.
 */
export function signatureBase(message: Message, signatureInput: InnerList): Uint8Array {
  const lines = new Map<string, string>();
  for (const [name, parameters] of signatureInput[0]) {
    if (typeof name !== 'string') throw unauthenticated('a covered component of the signature is no string');
    const identifier = serializeString(name);
    if (parameters.size > 0)
      throw unauthenticated(`the component ${identifier} of the signature has parameters, which are not supported`);
    if (lines.has(identifier)) throw unauthenticated(`the signature covers ${identifier} twice`);
    lines.set(identifier, componentValue(message, name));
  }
  lines.set('"@signature-params"', serializeInnerList(signatureInput));
  return new Uint8Array(Buffer.from(Array.from(lines, ([name, value]) => `${name}: ${value}`).join('\n'), 'latin1'));
}

function componentValue(message: Message, name: string): string {
  const value = name.startsWith('@') ? derivedValue(message, name) : fieldValue(message.fields, name);
  if (value === undefined) throw unauthenticated(`the signature covers '${name}', which the request does not have`);
  // A line break would let one component pass for several; other characters have no byte of their own.
  if (/[\r\n]|[^\0-\xff]/.test(value)) throw unauthenticated(`'${name}' has characters that no header may have`);
  return value;
}

function derivedValue({ method, target }: Message, name: string): string | undefined {
  const { path, query, authority, scheme } = target;
  switch (name) {
    case '@method':
      return method;
    case '@authority':
      return authority;
    case '@path':
      return path;
    case '@query':
      return query === '' ? '?' : query;
    case '@request-target':
      return path + query;
    case '@scheme':
      return scheme;
    case '@target-uri':
      return scheme === undefined || authority === undefined ? undefined : `${scheme}://${authority}${path}${query}`;
    default:
      throw unauthenticated(`the component '${name}' of the signature is not supported`);
  }
}
