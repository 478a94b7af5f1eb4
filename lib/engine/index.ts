export { BridgePoller } from './bridge.poller.js';
export { DispatchLifecycle } from './dispatch.lifecycle.js';
export { EmbeddedEngine } from './embedded.engine.js';
export type { DispatchEngine } from './engine.js';
export { RemoteEngine } from './remote.engine.js';
