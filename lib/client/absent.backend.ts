import { InvalidArgumentError } from '../errors/index.js';
import type { Backend } from './backend.js';

/** For an application that only serves its endpoint: it knows no scheduler. */
export class AbsentBackend implements Backend {
  readonly waitsDurably = false;
  readonly dispatch = refuse;
  readonly wait = refuse;
  readonly get = refuse;
  readonly list = refuse;
  readonly cancel = refuse;
  readonly retry = refuse;
}

function refuse(): Promise<never> {
  return Promise.reject(
    new InvalidArgumentError(
      'This application has no scheduler: the option scheduler is false and no DISPATCH_API_URL is set. Its functions run ' +
        'when a scheduler calls its endpoint; set DISPATCH_API_URL, or leave the option scheduler out, to dispatch from here.',
    ),
  );
}
