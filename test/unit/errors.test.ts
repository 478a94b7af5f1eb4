import { describe, expect, test } from '@jest/globals';
import { BadRequestException, HttpException, ServiceUnavailableException } from '@nestjs/common';
import { lookup } from 'node:dns';
import { connect } from 'node:net';
import {
  CancelledError,
  ConfigurationError,
  DispatchError,
  errorClassOf,
  failureOf,
  isIncompatible,
  isRetryable,
  noteFailure,
  PermanentError,
  registerErrorType,
  registerOutputType,
  Status,
  statusOf,
  statusOfHttp,
  statusOfOutput,
  TemporaryError,
  TimeoutError,
  wireTypeOf,
} from '../../lib/errors/index.js';
import * as errors from '../../lib/errors/index.js';

describe('the classes', () => {
  test.each([
    ['DispatchError', Status.PERMANENT_ERROR],
    ['TimeoutError', Status.TIMEOUT],
    ['ThrottleError', Status.THROTTLED],
    ['InvalidArgumentError', Status.INVALID_ARGUMENT],
    ['InvalidResponseError', Status.INVALID_RESPONSE],
    ['TemporaryError', Status.TEMPORARY_ERROR],
    ['PermanentError', Status.PERMANENT_ERROR],
    ['IncompatibleStateError', Status.INCOMPATIBLE_STATE],
    ['DNSError', Status.DNS_ERROR],
    ['TCPError', Status.TCP_ERROR],
    ['TLSError', Status.TLS_ERROR],
    ['HTTPError', Status.HTTP_ERROR],
    ['UnauthenticatedError', Status.UNAUTHENTICATED],
    ['PermissionDeniedError', Status.PERMISSION_DENIED],
    ['NotFoundError', Status.NOT_FOUND],
    ['CancelledError', Status.PERMANENT_ERROR],
    ['ConfigurationError', Status.PERMANENT_ERROR],
  ] as const)('%s has its name, its status and its cause', (name, status) => {
    const cause = new Error('cause');
    const error = new errors[name]('message', { cause });
    expect(error).toBeInstanceOf(DispatchError);
    expect(error).toBeInstanceOf(Error);
    expect(error).toMatchObject({ name, status, message: 'message', cause });
    expect(Object.keys(error)).toEqual([]);
    expect(statusOf(error)).toBe(status);
    expect(errorClassOf(name)).toBe(errors[name]);
    expect(String(error.stack)).toMatch(new RegExp(`^${name}: message\n`));
  });

  test('one error may have another status than its class', () => {
    expect(statusOf(new DispatchError('busy', { status: Status.THROTTLED }))).toBe(Status.THROTTLED);
    class Busy extends DispatchError {
      override readonly status = Status.THROTTLED;
    }
    expect(statusOf(new Busy())).toBe(Status.THROTTLED);
  });
});

describe('retries', () => {
  test('are made after what passes, not after what is final', () => {
    const retried = Object.values(Status).filter(
      (status): status is Status => typeof status === 'number' && isRetryable(status),
    );
    expect(retried.map((status) => Status[status])).toEqual([
      'TIMEOUT',
      'THROTTLED',
      'TEMPORARY_ERROR',
      'DNS_ERROR',
      'TCP_ERROR',
      'TLS_ERROR',
      'HTTP_ERROR',
    ]);
    expect(isIncompatible(Status.INCOMPATIBLE_STATE)).toBe(true);
    expect(isIncompatible(Status.TEMPORARY_ERROR)).toBe(false);
  });
});

describe('sorting what was thrown', () => {
  class Base extends Error {}
  class Near extends Base {}
  class Retryable extends Error {
    constructor(readonly retry: boolean) {
      super();
    }
  }
  registerErrorType(Base, Status.THROTTLED);
  registerErrorType(Near, Status.NOT_FOUND);
  registerErrorType(Retryable, (error) => (error.retry ? Status.TEMPORARY_ERROR : Status.PERMANENT_ERROR));

  test('by the nearest registered class', () => {
    expect(statusOf(new Base())).toBe(Status.THROTTLED);
    expect(statusOf(new Near())).toBe(Status.NOT_FOUND);
    expect(statusOf(new (class extends Near {})())).toBe(Status.NOT_FOUND);
    expect(statusOf(Object.assign(new Base(), { code: 'ECONNREFUSED', status: 401 }))).toBe(Status.THROTTLED);
  });

  test('by the handler of a registered class', () => {
    expect(statusOf(new Retryable(true))).toBe(Status.TEMPORARY_ERROR);
    expect(statusOf(new Retryable(false))).toBe(Status.PERMANENT_ERROR);
  });

  test('by the rest when a handler throws or answers nonsense', () => {
    class Broken extends Error {}
    registerErrorType(Broken, () => {
      throw new Error('in the handler');
    });
    expect(statusOf(Object.assign(new Broken(), { status: 429 }))).toBe(Status.THROTTLED);
    class Fine extends Error {}
    registerErrorType(Fine, () => Status.OK);
    expect(statusOf(new Fine(), Status.TEMPORARY_ERROR)).toBe(Status.TEMPORARY_ERROR);
  });

  test('a class of ours that is nearer than a registered one keeps its status', () => {
    class Mine extends TimeoutError {}
    registerErrorType(DispatchError, Status.NOT_FOUND);
    expect(statusOf(new TimeoutError())).toBe(Status.TIMEOUT);
    expect(statusOf(new Mine())).toBe(Status.TIMEOUT);
    registerErrorType(Mine, Status.TEMPORARY_ERROR);
    expect(statusOf(new Mine())).toBe(Status.TEMPORARY_ERROR);
    registerErrorType(DispatchError, Status.PERMANENT_ERROR);
  });

  test('by the HTTP status, wherever libraries put it', () => {
    expect(statusOf(new BadRequestException())).toBe(Status.INVALID_ARGUMENT);
    expect(statusOf(new ServiceUnavailableException())).toBe(Status.TEMPORARY_ERROR);
    expect(statusOf(new HttpException('moved', 302))).toBe(Status.PERMANENT_ERROR);
    expect(statusOf(Object.assign(new Error(), { status: 404 }))).toBe(Status.NOT_FOUND);
    expect(statusOf(Object.assign(new Error(), { statusCode: 429 }))).toBe(Status.THROTTLED);
    expect(statusOf(Object.assign(new Error(), { response: { status: 503 } }))).toBe(Status.TEMPORARY_ERROR);
    expect(statusOf({ status: 403 })).toBe(Status.PERMISSION_DENIED);
    expect(statusOf({ status: '403' })).toBe(Status.PERMANENT_ERROR);
    expect(statusOf({ status: 200 }, Status.TEMPORARY_ERROR)).toBe(Status.TEMPORARY_ERROR);
  });

  test.each([
    [400, Status.INVALID_ARGUMENT],
    [401, Status.UNAUTHENTICATED],
    [403, Status.PERMISSION_DENIED],
    [404, Status.NOT_FOUND],
    [408, Status.TIMEOUT],
    [504, Status.TIMEOUT],
    [429, Status.THROTTLED],
    [500, Status.TEMPORARY_ERROR],
    [502, Status.TEMPORARY_ERROR],
    [501, Status.PERMANENT_ERROR],
    [422, Status.PERMANENT_ERROR],
    [304, Status.PERMANENT_ERROR],
    [600, Status.PERMANENT_ERROR],
    [204, Status.OK],
  ])('HTTP %i', (code, status) => {
    expect(statusOfHttp(code)).toBe(status);
  });

  test.each([
    ['ECONNREFUSED', Status.TCP_ERROR],
    ['ECONNRESET', Status.TCP_ERROR],
    ['EPIPE', Status.TCP_ERROR],
    ['UND_ERR_SOCKET', Status.TCP_ERROR],
    ['ENOTFOUND', Status.DNS_ERROR],
    ['EAI_AGAIN', Status.DNS_ERROR],
    ['CERT_HAS_EXPIRED', Status.TLS_ERROR],
    ['DEPTH_ZERO_SELF_SIGNED_CERT', Status.TLS_ERROR],
    ['UNABLE_TO_VERIFY_LEAF_SIGNATURE', Status.TLS_ERROR],
    ['ERR_TLS_CERT_ALTNAME_INVALID', Status.TLS_ERROR],
    ['ERR_SSL_WRONG_VERSION_NUMBER', Status.TLS_ERROR],
    ['ETIMEDOUT', Status.TIMEOUT],
    ['UND_ERR_CONNECT_TIMEOUT', Status.TIMEOUT],
    ['UND_ERR_HEADERS_TIMEOUT', Status.TIMEOUT],
    ['HPE_INVALID_CONSTANT', Status.HTTP_ERROR],
    ['ENOENT', Status.PERMANENT_ERROR],
  ])('the code %s, on the error, its cause or a member', (code, status) => {
    const error = Object.assign(new Error('failed'), { code });
    expect(statusOf(error)).toBe(status);
    expect(statusOf(new TypeError('fetch failed', { cause: error }))).toBe(status);
    expect(statusOf(new AggregateError([new Error('other'), new Error('x', { cause: error })]))).toBe(status);
  });

  test('errors of the platform itself', async () => {
    const refused = await new Promise((resolve) => connect(1, '127.0.0.1').on('error', resolve));
    expect(statusOf(refused)).toBe(Status.TCP_ERROR);
    const unknown = await new Promise((resolve) => lookup('no-such-host.invalid', resolve));
    expect(statusOf(unknown)).toBe(Status.DNS_ERROR);
    expect(statusOf(new DOMException('', 'TimeoutError'))).toBe(Status.TIMEOUT);
    expect(statusOf(new DOMException('', 'AbortError'))).toBe(Status.TIMEOUT);
    expect(statusOf(Object.assign(new Error(), { code: 'ECONNREFUSED', syscall: 'queryA' }))).toBe(Status.DNS_ERROR);
  });

  test('everything else is permanent, or what the application says', () => {
    for (const thrown of [new Error('x'), 'text', 42, null, undefined, {}, () => 1, Symbol('s')]) {
      expect(statusOf(thrown)).toBe(Status.PERMANENT_ERROR);
      expect(statusOf(thrown, Status.TEMPORARY_ERROR)).toBe(Status.TEMPORARY_ERROR);
    }
  });

  test('causes in a circle come to an end', () => {
    const left: Error = new Error('left');
    left.cause = new AggregateError([new Error('right', { cause: left }), left]);
    expect(statusOf(left)).toBe(Status.PERMANENT_ERROR);
  });

  test('nothing that is thrown makes it throw', () => {
    const hostile = new Proxy(
      {},
      {
        get() {
          throw new Error('get');
        },
        getPrototypeOf() {
          throw new Error('getPrototypeOf');
        },
      },
    );
    expect(statusOf(hostile)).toBe(Status.PERMANENT_ERROR);
    expect(statusOfOutput(hostile)).toBe(Status.OK);
  });

  test('the status that a failed call ended with stays with its error', () => {
    const error = new Error('remote');
    noteFailure(error, { function: 'Bank.charge', attempt: 3, status: Status.TEMPORARY_ERROR });
    expect(statusOf(error)).toBe(Status.TEMPORARY_ERROR);
    expect(failureOf(error)).toEqual({ function: 'Bank.charge', attempt: 3, status: Status.TEMPORARY_ERROR });
    expect(Object.keys(error)).toEqual([]);
    expect(failureOf(new Error())).toBeUndefined();
  });
});

describe('sorting what was returned', () => {
  test('a Response that is not ok, by its HTTP status', () => {
    expect(statusOfOutput(new Response('', { status: 503 }))).toBe(Status.TEMPORARY_ERROR);
    expect(statusOfOutput(new Response('', { status: 404 }))).toBe(Status.NOT_FOUND);
    expect(statusOfOutput(new Response('ok'))).toBe(Status.OK);
  });

  test('by the nearest registered class', () => {
    class Outcome {
      constructor(readonly again: boolean) {}
    }
    registerOutputType(Outcome, (outcome) => (outcome.again ? Status.TEMPORARY_ERROR : Status.OK));
    expect(statusOfOutput(new Outcome(true))).toBe(Status.TEMPORARY_ERROR);
    expect(statusOfOutput(new (class extends Outcome {})(false))).toBe(Status.OK);
  });

  test('everything else is OK', () => {
    for (const value of [undefined, null, 1, { status: 500 }, { ok: false, status: 500 }, new Error('returned')]) {
      expect(statusOfOutput(value)).toBe(Status.OK);
    }
  });
});

describe('registering', () => {
  test('refuses what cannot be right, and says what can', () => {
    expect(() => registerErrorType(Error, Status.OK)).toThrow(ConfigurationError);
    expect(() => registerErrorType(Error, Status.UNSPECIFIED)).toThrow(/one of Status but OK and UNSPECIFIED/);
    expect(() => registerOutputType(Date, Status.UNSPECIFIED)).toThrow(ConfigurationError);
    expect(() => registerErrorType((() => 1) as unknown as typeof Error, Status.TIMEOUT)).toThrow(/must be a class/);
  });
});

describe('the name of an error on the wire', () => {
  class Unnamed extends Error {}
  class Named extends Error {
    override name = 'CustomName';
  }
  class Sub extends PermanentError {}

  test.each<[Error, string]>([
    [new Error(), 'Error'],
    [new TypeError(), 'TypeError'],
    [new AggregateError([]), 'AggregateError'],
    [new TemporaryError(), 'TemporaryError'],
    [new CancelledError(), 'Cancelled'],
    [new Unnamed(), 'Unnamed'],
    [new Named(), 'CustomName'],
    [new Sub(), 'Sub'],
    [new DOMException('', 'AbortError'), 'AbortError'],
    [Object.assign(new Error(), { name: 'Special' }), 'Special'],
    [new (class extends TypeError {})(), 'TypeError'],
    [new BadRequestException(), 'BadRequestException'],
  ])('%p', (error, type) => {
    expect(wireTypeOf(error)).toBe(type);
  });

  test('reads back as the class', () => {
    expect(errorClassOf('Cancelled')).toBe(CancelledError);
    expect(errorClassOf('CancelledError')).toBe(CancelledError);
    expect(errorClassOf('RangeError')).toBe(RangeError);
    expect(errorClassOf('Unheard')).toBeUndefined();
    expect(errorClassOf('__proto__')).toBeUndefined();
    registerErrorType(Unnamed, Status.TIMEOUT);
    expect(errorClassOf('Unnamed')).toBe(Unnamed);
  });
});
