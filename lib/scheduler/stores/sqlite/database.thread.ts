import { Worker } from 'node:worker_threads';
import { StoreError } from '../../store.js';
import type { DatabaseHandle, DatabaseMethod } from './database.handle.js';
import {
  fromMessage,
  type DatabaseLocation,
  type DatabaseRequest,
  type DatabaseResponse,
} from './database.messages.js';
import type { Database } from './database.js';
import type { Tape } from './tape.js';

interface Question {
  resolve(value: unknown): void;
  reject(error: Error): void;
}

/**
 * A database in a thread of its own, so that the application goes on while SQL is carried out and the disk works. The
 * thread keeps the process alive only while an answer is awaited.
 */
export class DatabaseThread implements DatabaseHandle {
  private readonly worker: Worker;
  private readonly questions = new Map<number, Question>();
  private lastNumber = 0;
  private ended: Error | undefined;

  private constructor(private readonly location: DatabaseLocation) {
    this.worker = new Worker(new URL('./database.worker.js', import.meta.url), {
      name: 'nestjs-dispatch store',
      workerData: location,
    });
    this.worker.on('message', (response: DatabaseResponse) => this.answered(response));
    this.worker.on('error', (error) => this.gone(`it failed with ${String(error)}`, error));
    this.worker.on('exit', (code) => this.gone(`it ended with code ${code}`, undefined));
    this.worker.unref();
  }

  /** @throws StoreError when the database cannot be opened */
  static async open(location: DatabaseLocation): Promise<DatabaseThread> {
    const thread = new DatabaseThread(location);
    try {
      await thread.request('open', [], []);
      return thread;
    } catch (error) {
      await thread.end();
      throw error;
    }
  }

  ask<M extends DatabaseMethod>(
    method: M,
    ...args: Parameters<Database[M]>
  ): Promise<Awaited<ReturnType<Database[M]>>> {
    return this.request(method, args, []) as Promise<Awaited<ReturnType<Database[M]>>>;
  }

  async commit({ numbers, texts, bytes }: Tape): Promise<void> {
    const text = typeof texts === 'string' ? texts : texts.join('');
    const copy: Tape = { numbers: numbers.slice(), texts: text, bytes: bytes.slice() };
    await this.request('commit', [copy], [copy.numbers.buffer, copy.bytes.buffer]);
  }

  /** Ends the thread as it is: what it has not answered may be done or not. */
  async end(): Promise<void> {
    await this.worker.terminate();
  }

  async close(): Promise<void> {
    try {
      await this.request('close', [], []);
    } finally {
      await this.end();
    }
  }

  /** @param given buffers that are handed over rather than copied */
  private request(
    method: DatabaseRequest['method'],
    args: readonly unknown[],
    given: readonly ArrayBuffer[],
  ): Promise<unknown> {
    if (this.ended) return Promise.reject(this.ended);
    return new Promise((resolve, reject) => {
      if (this.questions.size === 0) this.worker.ref();
      this.lastNumber += 1;
      this.questions.set(this.lastNumber, { resolve, reject });
      const request: DatabaseRequest = { number: this.lastNumber, method, args };
      this.worker.postMessage(request, given);
    });
  }

  private answered(response: DatabaseResponse): void {
    const question = this.questions.get(response.number);
    if (question === undefined) return;
    this.questions.delete(response.number);
    if (this.questions.size === 0) this.worker.unref();
    if ('error' in response) question.reject(fromMessage(response.error));
    else question.resolve(response.value);
  }

  /** The thread is gone: nothing that was not answered is known to be done. */
  private gone(how: string, cause: Error | undefined): void {
    if (this.ended) return;
    this.ended = new StoreError(
      `The thread of the store ${this.location.name} is gone: ${how}. Restart the application: it goes on with what was recorded.`,
      { cause },
    );
    for (const question of this.questions.values()) question.reject(this.ended);
    this.questions.clear();
  }
}
