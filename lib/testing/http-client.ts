import { HttpExchange } from '../endpoint/index.js';

export interface HttpClientRequest {
  readonly method: 'POST';
  readonly url: string;
  /** Names in lower case. */
  readonly headers: Readonly<Record<string, string>>;
  readonly body: Uint8Array;
}

export interface HttpClientResponse {
  readonly status: number;
  readonly body: Uint8Array;
}

/** Carries HTTP requests to one address; for `EndpointClient`, which knows what to send. */
export interface HttpClient {
  /** The address of the application, without the path of the method: `https://app.example.com/api`. */
  readonly url: string;
  /** Resolves with the answer, whatever its status; rejects when there is none. Redirects are not followed. */
  send(request: HttpClientRequest): Promise<HttpClientResponse>;
}

const MAX_REPLY_BYTES = 16_000_000;

/** Node's own HTTP client, on connections that are kept while they are used. */
export class NodeHttpClient implements HttpClient {
  readonly url: string;
  private readonly exchange = new HttpExchange(MAX_REPLY_BYTES);

  /** @throws TypeError when the address is no URL */
  constructor(url: string) {
    this.url = new URL(url).href;
  }

  send({ url, headers, body }: HttpClientRequest): Promise<HttpClientResponse> {
    return this.exchange.post(new URL(url), { headers, body, repeatable: true });
  }
}
