/** PROTOCOL: no message is larger than this, in bytes: a request to an endpoint, and its answer. */
export const MAX_MESSAGE_BYTES = 16_000_000;
