/** The options as the application gave them. */
export const DISPATCH_MODULE_OPTIONS = Symbol('DISPATCH_MODULE_OPTIONS');

/** The options with the environment and the defaults applied, all of them checked. */
export const DISPATCH_SETTINGS = Symbol('DISPATCH_SETTINGS');

/** Runs the application's functions, for all transports. */
export const DISPATCH_RUNNER = Symbol('DISPATCH_RUNNER');

/** Where the client's calls go: the embedded scheduler, or one that is reached over the network. */
export const DISPATCH_BACKEND = Symbol('DISPATCH_BACKEND');

/** The endpoint that stands for "this application" in the embedded scheduler: its runs never leave the process. */
export const LOCAL_ENDPOINT = 'local:';

/** The endpoint of what the scheduler itself does for a durable function, such as waiting for another call. */
export const SCHEDULER_ENDPOINT = 'dispatch:';

export const LOG_CONTEXT = 'Dispatch';
