import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { type ErrorCode, ServiceError } from '../../../../../src/errors.ts';
import {
  failureOf,
  HttpProblem,
  parserProblem,
  rawFailure,
  reasonOf,
} from '../../../../../src/modules/api/http/failure.ts';

const test = suite('request failures');

/** The status of every code, with its reason phrase. */
const table: Readonly<Record<ErrorCode, readonly [number, string]>> = {
  AccessDenied: [403, 'Forbidden'],
  InteractiveAuthorizationRequired: [403, 'Forbidden'],
  InvalidArgs: [400, 'Invalid'],
  LimitsExceeded: [503, 'Unavailable'],
  UnknownMethod: [404, 'Missing'],
  UnknownObject: [404, 'Missing'],
  UnknownInterface: [404, 'Missing'],
  UnknownProperty: [404, 'Missing'],
  PropertyReadOnly: [403, 'Forbidden'],
  NotFound: [404, 'Missing'],
  AlreadyExists: [409, 'Conflict'],
  NotSupported: [400, 'Invalid'],
  Unavailable: [503, 'Unavailable'],
  NotProvisioned: [503, 'Unavailable'],
  Cancelled: [503, 'Unavailable'],
  Failed: [500, 'Failed'],
};

test('have the status of their code, a one-word reason phrase and a message', () => {
  for (const [code, [status, reason]] of Object.entries(table)) {
    const error = new ServiceError(code as ErrorCode, 'why'); // keys of the table
    const message = code === 'Failed' ? 'internal error' : 'why';
    assert.equal(failureOf(error), { status, message }, code);
    assert.is(reasonOf(status), reason, code);
  }
});

test('do not disclose internal errors', () => {
  for (const broken of [new Error('private'), new TypeError('private'), 'private', undefined]) {
    assert.equal(failureOf(broken), { status: 500, message: 'internal error' });
  }
  const { status, message } = failureOf(new HttpProblem(413, 'too long'));
  assert.equal([status, message], [413, 'too long']);
});

test('of the protocol have one-word reason phrases', () => {
  const phrases = [408, 413, 417, 422, 431, 418].map((status) => reasonOf(status));
  const expected = ['Late', 'Oversized', 'Unexpected', 'Unprocessable', 'Oversized', 'Failed'];
  assert.equal(phrases, expected);
  assert.equal([reasonOf(200), reasonOf(201), reasonOf(399)], [undefined, undefined, undefined]);
});

test('of the parser are distinguished, and connection errors are not among them', () => {
  const statusOf = (code: string) => parserProblem(code)?.status;
  assert.is(statusOf('HPE_HEADER_OVERFLOW'), 431);
  assert.is(statusOf('HPE_CHUNK_EXTENSIONS_OVERFLOW'), 413);
  assert.is(statusOf('HPE_INVALID_EOF_STATE'), 400);
  assert.is(parserProblem('HPE_INVALID_EOF_STATE')?.message, 'the request was cut off');
  assert.is(statusOf('HPE_INVALID_METHOD'), 400);
  for (const code of ['ECONNRESET', 'EPIPE', '']) assert.is(statusOf(code), undefined, code);
});

test('of malformed requests are complete responses that close the connection', () => {
  const text = rawFailure({ status: 431, message: 'größer' });
  const [head = '', body = ''] = text.split('\r\n\r\n');
  assert.equal(JSON.parse(body), { message: 'größer' });
  const [line, ...headers] = head.split('\r\n');
  assert.is(line, 'HTTP/1.1 431 Oversized');
  assert.ok(headers.includes(`Content-Length: ${Buffer.byteLength(body)}`));
  assert.ok(headers.includes('Content-Type: application/json'));
  assert.ok(headers.includes('Connection: close'));
});

test.run();
