import { Status } from './status.js';

/**
 * Codes of node:net, node:dns, node:tls, node:http (nodejs.org/api/errors.html, nodejs.org/api/tls.html#x509-certificate-error-codes)
 * and of undici (undici.nodejs.org, Errors).
 */
const STATUS_BY_CODE = new Map<string, Status>([
  ...of(Status.TIMEOUT, 'ETIMEDOUT', 'ETIME', 'ESOCKETTIMEDOUT', 'ERR_SOCKET_CONNECTION_TIMEOUT', 'ABORT_ERR'),
  ...of(
    Status.TIMEOUT,
    'UND_ERR_CONNECT_TIMEOUT',
    'UND_ERR_HEADERS_TIMEOUT',
    'UND_ERR_BODY_TIMEOUT',
    'UND_ERR_ABORTED',
  ),
  ...of(Status.TIMEOUT, 'ERR_HTTP_REQUEST_TIMEOUT', 'ERR_TLS_HANDSHAKE_TIMEOUT'),
  ...of(
    Status.DNS_ERROR,
    'ENOTFOUND',
    'ENODATA',
    'ENONAME',
    'ESERVFAIL',
    'ENOTIMP',
    'EFORMERR',
    'EBADRESP',
    'EREFUSED',
  ),
  ...of(Status.TCP_ERROR, 'ECONNREFUSED', 'ECONNRESET', 'ECONNABORTED', 'EPIPE', 'ENOTCONN', 'EADDRNOTAVAIL'),
  ...of(Status.TCP_ERROR, 'EHOSTUNREACH', 'EHOSTDOWN', 'ENETUNREACH', 'ENETDOWN', 'ENETRESET'),
  ...of(Status.TCP_ERROR, 'ERR_SOCKET_CLOSED', 'ERR_STREAM_PREMATURE_CLOSE', 'UND_ERR_SOCKET', 'UND_ERR_CLOSED'),
  ...of(Status.TLS_ERROR, 'EPROTO', 'HOSTNAME_MISMATCH', 'INVALID_CA', 'INVALID_PURPOSE', 'PATH_LENGTH_EXCEEDED'),
  ...of(Status.TLS_ERROR, 'DEPTH_ZERO_SELF_SIGNED_CERT', 'SELF_SIGNED_CERT_IN_CHAIN', 'ERROR_IN_CERT_NOT_BEFORE_FIELD'),
  ...of(
    Status.TLS_ERROR,
    'ERROR_IN_CERT_NOT_AFTER_FIELD',
    'ERROR_IN_CRL_LAST_UPDATE_FIELD',
    'ERROR_IN_CRL_NEXT_UPDATE_FIELD',
  ),
]);

const STATUS_BY_PREFIX: readonly (readonly [prefix: string, status: Status])[] = [
  ['EAI_', Status.DNS_ERROR],
  ['CERT_', Status.TLS_ERROR],
  ['CRL_', Status.TLS_ERROR],
  ['UNABLE_TO_', Status.TLS_ERROR],
  ['ERR_TLS_', Status.TLS_ERROR],
  ['ERR_SSL_', Status.TLS_ERROR],
  ['HPE_', Status.HTTP_ERROR],
  ['ERR_HTTP2_', Status.HTTP_ERROR],
  ['UND_ERR_REQ_CONTENT_LENGTH_MISMATCH', Status.HTTP_ERROR],
  ['UND_ERR_RES_', Status.HTTP_ERROR],
];

/** Calls of the resolver: their errors are of DNS whatever the code (`queryA`, `getaddrinfo`). */
const RESOLVER_CALL = /^(getaddrinfo|getnameinfo|query[A-Z]|getHostByAddr)/;

/** The status of a network failure, by the `code`, `syscall` and `name` that Node and undici put on their errors. */
export function statusOfNetworkError(error: { code?: unknown; syscall?: unknown; name?: unknown }): Status | undefined {
  const { code, syscall } = error;
  if (typeof code === 'string') {
    if (typeof syscall === 'string' && RESOLVER_CALL.test(syscall)) return Status.DNS_ERROR;
    const status = STATUS_BY_CODE.get(code) ?? STATUS_BY_PREFIX.find(([prefix]) => code.startsWith(prefix))?.[1];
    if (status !== undefined) return status;
  }
  return error.name === 'AbortError' || error.name === 'TimeoutError' ? Status.TIMEOUT : undefined;
}

function of(status: Status, ...codes: string[]): [string, Status][] {
  return codes.map((code) => [code, status]);
}
