import { Status } from './status.js';

/** The status that an HTTP answer stands for, by its code. */
export function statusOfHttp(code: number): Status {
  if (code >= 200 && code < 300) return Status.OK;
  switch (code) {
    case 400:
      return Status.INVALID_ARGUMENT;
    case 401:
      return Status.UNAUTHENTICATED;
    case 403:
      return Status.PERMISSION_DENIED;
    case 404:
      return Status.NOT_FOUND;
    case 408:
    case 504:
      return Status.TIMEOUT;
    case 429:
      return Status.THROTTLED;
    case 501:
      return Status.PERMANENT_ERROR;
    default:
      return code >= 500 && code < 600 ? Status.TEMPORARY_ERROR : Status.PERMANENT_ERROR;
  }
}
