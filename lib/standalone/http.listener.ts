import { createServer as createHttp1, type IncomingMessage, type ServerResponse } from 'node:http';
import {
  createSecureServer,
  createServer as createHttp2,
  type Http2ServerRequest,
  type Http2ServerResponse,
} from 'node:http2';
import { createServer as createTcp, type AddressInfo, type Server, type Socket } from 'node:net';

export type ServerRequest = IncomingMessage | Http2ServerRequest;
export type ServerReply = ServerResponse | Http2ServerResponse;
export type RequestListener = (request: ServerRequest, response: ServerReply) => void;

export interface TlsSettings {
  /** PEM. */
  readonly cert: string | Buffer;
  /** PEM. */
  readonly key: string | Buffer;
}

/** How HTTP/2 begins where it is not negotiated (RFC 9113, section 3.4); no request of HTTP/1.1 begins so. */
const PREFACE = Buffer.from('PRI * HTTP/2.0');

/** Listens for HTTP/1.1 and HTTP/2 on one port: told apart by TLS, or by how a connection begins. */
export class HttpListener {
  private readonly server: Server;
  private readonly sockets = new Set<Socket>();

  constructor(listener: RequestListener, tls?: TlsSettings) {
    this.server =
      tls === undefined ? plainServer(listener) : createSecureServer({ ...tls, allowHTTP1: true }, listener);
    this.server.on('connection', (socket: Socket) => {
      this.sockets.add(socket);
      socket.once('close', () => this.sockets.delete(socket));
    });
  }

  /** Resolves with the port. Rejects with the error of Node when it cannot listen. */
  async listen(port: number, host: string): Promise<number> {
    await new Promise<void>((resolve, reject) => {
      this.server.once('error', reject);
      this.server.listen(port, host, resolve);
    });
    // Listening on a name or an IP address, which is what the type cannot tell.
    return (this.server.address() as AddressInfo).port;
  }

  /** Takes no more connections, and closes those that there are. */
  async close(): Promise<void> {
    const closed = new Promise<void>((resolve) => this.server.close(() => resolve()));
    for (const socket of this.sockets) socket.destroy();
    await closed;
  }
}

function plainServer(listener: RequestListener): Server {
  const http1 = createHttp1(listener);
  const http2 = createHttp2(listener);
  return createTcp((socket) => {
    socket.on('error', () => socket.destroy());
    // Node's server has a limit for the headers; one of our own is for those who send nothing at all.
    socket.setTimeout(http1.headersTimeout, () => socket.destroy());
    const decide = (): void => {
      const begun = socket.read() as Buffer | null;
      if (begun === null) return;
      socket.off('readable', decide);
      socket.setTimeout(0);
      socket.removeAllListeners('timeout');
      socket.unshift(begun);
      const isHttp2 = PREFACE.subarray(0, begun.length).equals(begun.subarray(0, PREFACE.length));
      (isHttp2 ? http2 : http1).emit('connection', socket);
    };
    socket.on('readable', decide);
  });
}
