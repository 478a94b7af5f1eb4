import ipaddr from 'ipaddr.js';
import { ConfigurationError } from '../errors/index.js';

type Network = ReturnType<typeof ipaddr.parseCIDR>;

const PATTERN = /^(?:(https?):\/\/)?(\[[0-9a-f:.]+\](?:\/\d+)?|[^:[\]]+|[0-9a-f:.]+\/\d+)(?::(\d{1,5}))?$/i;
const NAME = /^(\*\.)?[a-z0-9_]([a-z0-9_-]*[a-z0-9_])?(\.[a-z0-9_]([a-z0-9_-]*[a-z0-9_])?)*$/i;

/**
 * Endpoints that an operator allows: `https://orders.example.com`, `*.svc.cluster.local:3000`, `10.0.0.0/8`. What is left
 * out (the scheme, the port) is any.
 */
export class EndpointPattern {
  private readonly protocol: string | undefined;
  private readonly port: string | undefined;
  /** Lower case; begins with a dot for all names below. */
  private readonly name: string | undefined;
  private readonly network: Network | undefined;

  /** @throws ConfigurationError when the text is no pattern; the message names `source` */
  constructor(text: string, source: string) {
    const [, scheme, host = '', port] = PATTERN.exec(text.trim()) ?? [];
    this.protocol = scheme && `${scheme.toLowerCase()}:`;
    this.port = port;
    this.network = networkOf(host);
    this.name = this.network === undefined && NAME.test(host) ? host.toLowerCase().replace('*', '') : undefined;
    if (this.network === undefined && this.name === undefined) {
      throw new ConfigurationError(
        `${source} has the pattern '${text}', which is none: give a host (orders.example.com), all hosts below a domain ` +
          `(*.example.com) or a network (10.0.0.0/8), with a scheme before it and a port after it where these matter.`,
      );
    }
  }

  /** Whether it speaks of the scheme and the port of the address. */
  fits(url: URL): boolean {
    const port = url.port || (url.protocol === 'https:' ? '443' : '80');
    return (this.protocol ?? url.protocol) === url.protocol && (this.port ?? port) === port;
  }

  /** Whether the host is one that it names, wherever that is. */
  names(hostname: string): boolean {
    const { name } = this;
    if (name === undefined) return false;
    return name.startsWith('.') ? hostname.endsWith(name) : hostname === name;
  }

  /** Whether an address is in its network. */
  contains(address: string): boolean {
    if (this.network === undefined) return false;
    const parsed = ipaddr.process(address);
    return parsed.kind() === this.network[0].kind() && parsed.match(this.network);
  }
}

function networkOf(host: string): Network | undefined {
  const text = host.replace(/[[\]]/g, '');
  if (ipaddr.isValidCIDR(text)) return ipaddr.parseCIDR(text);
  if (!ipaddr.IPv4.isValidFourPartDecimal(text) && !ipaddr.IPv6.isValid(text)) return undefined;
  const address = ipaddr.process(text);
  return [address, address.kind() === 'ipv4' ? 32 : 128];
}
