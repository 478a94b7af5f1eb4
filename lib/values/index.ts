export { packArguments, unpackArguments } from './arguments.js';
export { type ErrorInfo, packError, unpackError } from './error.js';
export { inputHash, inputKey, isInputHash } from './input-key.js';
export { messageTypes, registerMessageType } from './message.registry.js';
export { pack } from './pack.js';
export { isExtendedAny, typeNameOf } from './type-url.js';
export { unpack } from './unpack.js';
