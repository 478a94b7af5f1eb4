import {
  Injectable,
  Logger,
  type BeforeApplicationShutdown,
  type OnApplicationBootstrap,
  type OnApplicationShutdown,
} from '@nestjs/common';
import type { DispatchEngine } from './engine.js';
import { LOG_CONTEXT } from '../dispatch.constants.js';
import type { Settings } from '../dispatch.settings.js';
import { ConfigurationError } from '../errors/index.js';
import type { DispatchRegistry } from '../registry/index.js';

/** How many functions the line at start names. */
const NAMED = 10;
/** How long a suspended function is kept in memory to go on without a replay, and how often that is looked at; milliseconds. */
const IDLE = { after: 60_000, interval: 10_000 };

/** Starts with the application and ends with it. */
@Injectable()
export class DispatchLifecycle implements OnApplicationBootstrap, BeforeApplicationShutdown, OnApplicationShutdown {
  private readonly logger = new Logger(LOG_CONTEXT);
  private releasing: NodeJS.Timeout | undefined;

  constructor(
    private readonly settings: Settings,
    private readonly registry: DispatchRegistry,
    private readonly engine: DispatchEngine,
    private readonly runner: { releaseIdle(idle: number): void },
  ) {}

  /** All modules are initialized: functions may run. */
  async onApplicationBootstrap(): Promise<void> {
    this.checkEndpointUrl();
    await this.engine.start();
    this.releasing = setInterval(() => this.runner.releaseIdle(IDLE.after), IDLE.interval).unref();
    this.logger.log(this.startLine());
    if (this.sendsKeyInClear()) {
      this.logger.warn(
        'The API key is sent over plain HTTP, where it can be read on the way: give the scheduler an https:// address.',
      );
    }
    if (this.isUnverified()) {
      this.logger.warn(
        'Requests to the endpoint are not verified: whoever reaches it can run functions. Set DISPATCH_VERIFICATION_KEY ' +
          '(or the option verificationKey) to the public key of the scheduler.',
      );
    }
  }

  /** Before the HTTP server and most connections are closed: what is running may still need them. */
  async beforeApplicationShutdown(): Promise<void> {
    clearInterval(this.releasing);
    await this.engine.stop();
  }

  /** What the shutdown itself may have used to the end. */
  onApplicationShutdown(): void {
    this.engine.close();
  }

  private checkEndpointUrl(): void {
    const { mode, endpointUrl } = this.settings;
    const [first] = this.registry.list();
    if (mode.kind !== 'remote' || endpointUrl !== undefined || first === undefined) return;
    throw new ConfigurationError(
      `The application has durable functions (${first.name}, …) and a remote scheduler, which must know where to call ` +
        `them: set DISPATCH_ENDPOINT_URL, or the option endpointUrl, to the application's address (https://app.example.com).`,
    );
  }

  private sendsKeyInClear(): boolean {
    const { mode } = this.settings;
    if (mode.kind !== 'remote' || mode.apiKey === undefined) return false;
    const { protocol, hostname } = mode.apiUrl.value;
    return protocol === 'http:' && !/^(localhost|127\..*|\[::1\])$/.test(hostname);
  }

  private isUnverified(): boolean {
    const { mode, endpoint, verificationKey } = this.settings;
    return verificationKey === undefined && (mode.kind !== 'embedded' || endpoint.open);
  }

  private startLine(): string {
    const functions = this.registry.list().map(({ name }) => name);
    const more = functions.length > NAMED ? `, and ${functions.length - NAMED} more` : '';
    const list = functions.length === 0 ? '' : `: ${functions.slice(0, NAMED).join(', ')}${more}`;
    return `Started with ${this.modeText()}; ${this.endpointText()}; ${functions.length} function${functions.length === 1 ? '' : 's'}${list}`;
  }

  private modeText(): string {
    const { mode } = this.settings;
    switch (mode.kind) {
      case 'embedded': {
        const { value, source } = mode.store;
        const name = typeof value === 'string' ? value.replace(/\/\/.*@/, '//***@') : value.name;
        return `the embedded scheduler${mode.run ? '' : ' (dispatching only)'}, store ${name} (${source})`;
      }
      case 'remote':
        return `the scheduler at ${mode.apiUrl.value.origin} (${mode.apiUrl.source})`;
      case 'endpoint':
        return 'no scheduler of its own';
    }
  }

  private endpointText(): string {
    const { mode, endpoint, endpointUrl, verificationKey } = this.settings;
    const isClosed = mode.kind === 'embedded' && verificationKey === undefined && !endpoint.open;
    const at = endpointUrl === undefined ? '' : ` at ${endpointUrl.value.href}`;
    return isClosed
      ? 'endpoint closed'
      : `endpoint open${at}, ${verificationKey === undefined ? 'not verified' : 'verified'}`;
  }
}
