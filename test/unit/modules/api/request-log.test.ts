import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { ServiceError } from '../../../../src/errors.ts';
import { HttpProblem } from '../../../../src/modules/api/http/failure.ts';
import { logRequest } from '../../../../src/modules/api/request-log.ts';
import { Repeats } from '../../../../src/service/log/repeats.ts';
import { type LogLine, recordingLog } from '../../../support/log.ts';

const test = suite('log of requests');

/** The level and the message of the record of a request. */
function recorded(status: number, error?: Error, abandoned = false): string {
  const lines: LogLine[] = [];
  const log = recordingLog((line) => lines.push(line));
  using requests = new Repeats({ log });
  const request = { method: 'GET', route: '/modules', requestId: 'r', durationMs: 1 };
  const parts = { api: 'management', log, requests } as const;
  logRequest(parts, { ...request, status, error, abandoned });
  return lines.map(({ level, message }) => `${level}: ${message}`).join();
}

test('has an error for a failure of ours, and information for what a client did wrong', () => {
  const failure = new ServiceError('Unavailable', 'not now');
  const refusal = new ServiceError('NotFound', 'no module');
  const problem = new HttpProblem(400, 'not allowed');
  assert.is(recorded(200), 'debug: management request completed');
  assert.is(recorded(200, undefined, true), 'debug: management request abandoned');
  assert.is(recorded(503, failure, true), 'debug: management request abandoned');
  assert.is(recorded(503, failure), 'error: management request failed');
  assert.is(recorded(500, new TypeError('a mistake')), 'error: management request failed');
  assert.is(recorded(404, refusal), 'info: management request refused');
  assert.is(recorded(503, problem), 'info: management request refused');
  assert.is(recorded(200, failure), 'error: management request failed', 'a stream that broke');
  assert.is(recorded(200, problem), 'info: management request refused', 'its reader stalled');
});

test.run();
