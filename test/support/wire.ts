import { once } from 'node:events';
import { connect, createServer, type AddressInfo, type Server, type Socket } from 'node:net';

/** Where a server listens: a port of a host, or a socket in a folder. */
export type Place = { readonly host: string; readonly port: number } | { readonly path: string };

export function placeOf(url: URL): Place {
  const folder = url.searchParams.get('host');
  if (folder !== null) return { path: `${folder}/.s.PGSQL.5432` };
  return { host: url.hostname, port: Number(url.port || '5432') };
}

/**
 * A wire between a store and its server, which a test cuts at the worst moment: before a COMMIT has reached the server, or
 * before its answer has come back.
 */
export class Wire {
  cutting: 'commit' | 'answer' | undefined;
  /** Only where this was sent in the transaction. */
  cuttingAfter = '';
  /** COMMITs that were cut off. */
  cuts = 0;

  private constructor(
    private readonly server: Server,
    readonly url: string,
  ) {}

  static async to(address: string): Promise<Wire> {
    const url = new URL(address);
    const place = placeOf(url);
    const server = createServer((client) => wire.join(client, connect(place)));
    await once(server.listen(0, '127.0.0.1'), 'listening');
    const { port } = server.address() as AddressInfo;
    url.searchParams.set('host', '127.0.0.1');
    url.searchParams.set('port', String(port));
    const wire = new Wire(server, url.href);
    return wire;
  }

  close(): void {
    this.server.close();
  }

  private join(client: Socket, server: Socket): void {
    let waitsForAnswer = false;
    let isMeant = false;
    const cut = (): void => {
      this.cuts += 1;
      this.cutting = undefined;
      client.destroy();
      server.destroy();
    };
    client.on('data', (bytes) => {
      const isCommit = bytes.includes('COMMIT');
      isMeant ||= bytes.includes(this.cuttingAfter);
      if (isCommit && isMeant && this.cutting === 'commit') return cut();
      waitsForAnswer ||= isCommit && isMeant && this.cutting === 'answer';
      if (isCommit) isMeant = false;
      server.write(bytes);
    });
    server.on('data', (bytes) => {
      if (waitsForAnswer) return cut();
      client.write(bytes);
    });
    for (const [socket, other] of [
      [client, server],
      [server, client],
    ] as const) {
      socket.on('error', () => other.destroy());
      socket.on('close', () => other.destroy());
    }
  }
}
