export { readCallInfo, readFilter, readState, writeCallInfo, writeFilter, writeState } from './call.messages.js';
export {
  NoSuchMethodError,
  RemoteScheduler,
  type InvokeOptions,
  type RemoteSchedulerSettings,
} from './remote.scheduler.js';
