/** The options as the application gave them. */
export const DISPATCH_MODULE_OPTIONS = Symbol('DISPATCH_MODULE_OPTIONS');

/** The options with the environment and the defaults applied, all of them checked. */
export const DISPATCH_SETTINGS = Symbol('DISPATCH_SETTINGS');

/** Time. A test may override it with a clock of its own. */
export const DISPATCH_CLOCK = Symbol('DISPATCH_CLOCK');

/** Runs the application's functions, for all transports. */
export const DISPATCH_RUNNER = Symbol('DISPATCH_RUNNER');

/** The embedded scheduler, or what stands for a remote one. */
export const DISPATCH_ENGINE = Symbol('DISPATCH_ENGINE');

/** The HTTP route, put in front of the application's own. */
export const DISPATCH_ENDPOINT = Symbol('DISPATCH_ENDPOINT');

/** The endpoint that stands for "this application" in the embedded scheduler: its runs never leave the process. */
export const LOCAL_ENDPOINT = 'local:';

/** The endpoint of what the scheduler itself does for a durable function, such as waiting for another call. */
export const SCHEDULER_ENDPOINT = 'dispatch:';

export const LOG_CONTEXT = 'Dispatch';
