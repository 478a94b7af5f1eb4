import { TypeScriptProcess } from '../../support/typescript-process.js';

const SCRIPT = new URL('application.ts', import.meta.url);

/** An application in a process of its own. */
export class Application {
  private constructor(private readonly process: TypeScriptProcess) {}

  static async start(
    store: string,
    options: { readonly runs?: boolean; readonly retention?: number } = {},
  ): Promise<Application> {
    const { runs = true, retention } = options;
    const env: Record<string, string> = retention === undefined ? {} : { RETENTION_MS: String(retention) };
    const process = new TypeScriptProcess(SCRIPT, [store, ...(runs ? [] : ['dispatches'])], env);
    await process.until('ready');
    return new Application(process);
  }

  /** Milliseconds that so many trivial calls take. */
  async calls(count: number): Promise<number> {
    return Number(await this.ask(`calls ${count}`));
  }

  /** Milliseconds that each of so many calls takes, one after the other. */
  async singles(count: number): Promise<number[]> {
    return (await this.ask(`singles ${count}`)).split(' ').map(Number);
  }

  /** Microseconds of a processor that it has used. */
  async processorTime(): Promise<number> {
    return Number(await this.ask('processor'));
  }

  async stop(): Promise<void> {
    this.process.endInput();
    await this.process.ended;
  }

  private async ask(question: string): Promise<string> {
    this.process.write(question);
    return (await this.process.until('done ')).slice('done '.length);
  }
}
