import { lookup as systemLookup, type LookupAddress, type LookupOptions } from 'node:dns';
import { isIP, type LookupFunction } from 'node:net';
import { EndpointRefusedError, type EndpointGuard } from '../endpoint/index.js';
import { addressKind } from './address.kind.js';
import { EndpointPattern } from './endpoint.pattern.js';

export interface EndpointPolicyOptions {
  /** Patterns of the endpoints that may be called (see `EndpointPattern`). Default: all at public addresses. */
  readonly allow?: readonly string[];
  /** Endpoints at any address that is an application's may be called, those of this machine too. Default false. */
  readonly dev?: boolean;
  /** What messages call the option `allow`. */
  readonly source?: string;
}

type Resolve = (
  hostname: string,
  options: LookupOptions & { all: true },
  callback: (error: NodeJS.ErrnoException | null, addresses: LookupAddress[]) => void,
) => void;

/**
 * Keeps a scheduler from being a way into the network that it stands in: callers choose the endpoints of their calls, and
 * the scheduler connects to them. Without patterns only public addresses are called. A host that a pattern names may be at
 * a private address as well. Addresses that are no application's (link-local, metadata services, multicast, …) are never
 * connected to, whatever is allowed.
 */
export class EndpointPolicy implements EndpointGuard {
  private readonly patterns: readonly EndpointPattern[];
  private readonly dev: boolean;
  private readonly source: string;

  /**
   * @param resolve finds the addresses of names
   * @throws ConfigurationError when a pattern is none
   */
  constructor(
    { allow = [], dev = false, source = 'the option allowEndpoints (--allow-endpoint)' }: EndpointPolicyOptions = {},
    private readonly resolve: Resolve = systemLookup,
  ) {
    this.patterns = allow.map((pattern) => new EndpointPattern(pattern, source));
    this.dev = dev;
    this.source = source;
  }

  admit(url: URL): LookupFunction {
    if (url.username !== '' || url.password !== '') {
      throw new EndpointRefusedError(`the endpoint ${url.origin} has credentials in its address: leave them out`);
    }
    const fitting = this.patterns.filter((pattern) => pattern.fits(url));
    if (this.patterns.length > 0 && fitting.length === 0 && !this.dev) throw this.refused(url, 'no pattern names it');
    const hostname = url.hostname.replace(/^\[|\]$/g, '').replace(/\.$/, '');
    // Nothing is looked up for an address.
    if (isIP(hostname) !== 0) this.check(url, fitting, hostname, [hostname]);
    return (_hostname, options, callback) => {
      this.resolve(hostname, { ...options, all: true }, (error, found) => {
        if (error) return callback(error, '');
        try {
          const addresses = found.map(({ address }) => address);
          const allowed = this.check(url, fitting, hostname, addresses);
          const usable = found.filter(({ address }) => allowed.includes(address));
          if (options.all === true) callback(null, usable);
          else callback(null, usable[0]?.address ?? '', usable[0]?.family);
        } catch (refused) {
          callback(refused instanceof Error ? refused : new Error(String(refused)), '');
        }
      });
    };
  }

  /** The addresses that may be connected to: one at least. */
  private check(
    url: URL,
    fitting: readonly EndpointPattern[],
    hostname: string,
    addresses: readonly string[],
  ): string[] {
    const isNamed = fitting.some((pattern) => pattern.names(hostname));
    const allowed = addresses.filter((address) => {
      switch (addressKind(address)) {
        case 'forbidden':
          return false;
        case 'public':
          return this.patterns.length === 0 || isNamed || fitting.some((pattern) => pattern.contains(address));
        case 'local':
          return this.dev || isNamed || fitting.some((pattern) => pattern.contains(address));
      }
    });
    if (allowed.length > 0) return allowed;
    if (addresses.every((address) => addressKind(address) === 'forbidden')) {
      throw new EndpointRefusedError(
        `the endpoint ${url.origin} is at an address that is never called (link-local, a metadata service, multicast, reserved)`,
      );
    }
    throw this.refused(url, this.patterns.length === 0 ? 'it is not at a public address' : 'no pattern names it');
  }

  private refused(url: URL, reason: string): EndpointRefusedError {
    return new EndpointRefusedError(
      `the endpoint ${url.origin} may not be called: ${reason}. The operator of the scheduler allows it with ${this.source}`,
    );
  }
}
