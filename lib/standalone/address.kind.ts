import ipaddr from 'ipaddr.js';

/** What an IP address is, for someone who is asked by others to connect to it. */
export type AddressKind =
  | 'public'
  /** Of this machine, or of a network that is not the Internet. */
  | 'local'
  /** Nothing that an application could be reached at, or the metadata service of a cloud, which hands out credentials. */
  | 'forbidden';

/** Metadata services that are not at a link-local address: of AWS (IPv6), Alibaba, Oracle and Azure. */
const METADATA = ['fd00:ec2::254', '100.100.100.200', '192.0.0.192', '168.63.129.16'].map((address) =>
  ipaddr.process(address).toNormalizedString(),
);

/** @throws Error when the text is no IP address */
export function addressKind(address: string): AddressKind {
  // An IPv4 address in the clothes of an IPv6 one is what it is.
  const parsed = ipaddr.process(address);
  if (METADATA.includes(parsed.toNormalizedString())) return 'forbidden';
  switch (parsed.range()) {
    case 'unicast':
      return 'public';
    case 'private':
    case 'loopback':
    case 'uniqueLocal':
    case 'carrierGradeNat':
      return 'local';
    default:
      return 'forbidden';
  }
}
