import { unauthenticated } from './signature.error.js';

/** Header fields: an object as Node has it, or pairs (`Headers`, a list that keeps duplicates). Names in any case. */
export type HeaderFields =
  Iterable<readonly [string, string]> | Readonly<Record<string, string | readonly string[] | undefined>>;

/** What an HTTP request of any framework begins with: by its URL, or by what a server sees of it. */
export type HttpRequestHead = {
  readonly method: string;
  readonly headers: HeaderFields;
} & (
  | {
      /** Absolute, http or https. */
      readonly url: string;
    }
  | {
      /** The path as it came in, with the query if there is one. */
      readonly path: string;
      /** The Host header when left out. */
      readonly authority?: string;
      /** Decides which port is the default one. When left out both 80 and 443 are. */
      readonly scheme?: 'http' | 'https';
    }
);

/** An HTTP request, as it is sent or came in. */
export type HttpRequest = HttpRequestHead & {
  /** The raw bytes. */
  readonly body: Uint8Array;
};

/** Where a request goes, as RFC 9421, section 2.2, names the parts. */
export interface Target {
  readonly path: string;
  /** With its `?`; empty when there is none. */
  readonly query: string;
  readonly authority: string | undefined;
  /** Undefined when the request does not tell. */
  readonly scheme: string | undefined;
}

/** The values of each field by its name in lower case, in the order in which they came. */
export type Fields = ReadonlyMap<string, readonly string[]>;

export function fieldsOf(headers: HeaderFields): Fields {
  const fields = new Map<string, string[]>();
  for (const [name, value] of Symbol.iterator in headers ? headers : Object.entries(headers)) {
    if (value === undefined) continue;
    const key = name.toLowerCase();
    const values = fields.get(key) ?? [];
    values.push(...(typeof value === 'string' ? [value] : value));
    fields.set(key, values);
  }
  return fields;
}

/**
 * A field's combined value: each without the white space around it and with folded lines joined, separated by commas
 * (RFC 9421, section 2.1). Undefined when the request has no such field.
 */
export function fieldValue(fields: Fields, name: string): string | undefined {
  return fields
    .get(name)
    ?.map((value) => trim(value.includes('\r\n') ? unfold(value) : value))
    .join(', ');
}

/** A line break that is followed by white space joins two lines; others stay, and are refused where they count. */
function unfold(value: string): string {
  const [first = '', ...rest] = value.split('\r\n');
  return rest.reduce((text, line) => (isSpace(line, 0) ? `${trim(text)} ${trim(line)}` : `${text}\r\n${line}`), first);
}

/** Without the white space around it. By hand: a pattern takes quadratic time for a long run of blanks inside. */
function trim(value: string): string {
  let start = 0;
  let end = value.length;
  while (start < end && isSpace(value, start)) start++;
  while (end > start && isSpace(value, end - 1)) end--;
  return value.slice(start, end);
}

const isSpace = (value: string, at: number): boolean => value[at] === ' ' || value[at] === '\t';

/** @param authority replaces the one that the request was sent to: what a proxy in between was called */
export function targetOf(request: HttpRequestHead, fields: Fields, authority?: string): Target {
  if ('url' in request) {
    const url = parseUrl(request.url);
    return {
      path: url.pathname,
      query: url.search,
      authority: authority === undefined ? url.host : normalize(authority, url.protocol),
      scheme: url.protocol.slice(0, -1),
    };
  }
  const question = request.path.indexOf('?');
  const host = authority ?? request.authority ?? fieldValue(fields, 'host');
  return {
    path: (question === -1 ? request.path : request.path.slice(0, question)) || '/',
    query: question === -1 ? '' : request.path.slice(question),
    authority:
      host === undefined ? undefined : normalize(host, request.scheme === undefined ? undefined : `${request.scheme}:`),
    scheme: request.scheme,
  };
}

/** Lower case, without the scheme's default port (RFC 9421, section 2.2.3). A URL counts by its authority. */
function normalize(authority: string, protocol: string | undefined): string {
  if (authority.includes('://')) return parseUrl(authority).host;
  const host = authority.trim().toLowerCase();
  const port = protocol === 'http:' ? ':80' : protocol === 'https:' ? ':443' : /:(80|443)$/.exec(host)?.[0];
  return port !== undefined && host.endsWith(port) ? host.slice(0, -port.length) : host;
}

function parseUrl(url: string): URL {
  try {
    return new URL(url);
  } catch (error) {
    throw unauthenticated(`the URL '${url}' is not absolute`, error);
  }
}
