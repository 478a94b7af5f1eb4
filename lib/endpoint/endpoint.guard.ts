import type { LookupFunction } from 'node:net';

/** Decides which endpoints may be called. */
export interface EndpointGuard {
  /**
   * Looks at the address of an endpoint. What it returns finds the addresses of its host, as `dns.lookup` does, and fails
   * with an `EndpointRefusedError` where none of them may be connected to. Connections are made with it, so that a name
   * cannot mean another address a moment later.
   *
   * @throws EndpointRefusedError when the endpoint may not be called, wherever it is
   */
  admit(url: URL): LookupFunction;
}

/** An endpoint may not be called. */
export class EndpointRefusedError extends Error {
  override readonly name = 'EndpointRefusedError';
}
