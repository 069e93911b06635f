/** Journal records of requests by modules. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { ServiceError } from '../../../../../src/errors.ts';
import { parseModuleName } from '../../../../../src/ids.ts';
import { serveSocket } from '../../../../../src/modules/api/http/socket.ts';
import { WorkloadServers } from '../../../../../src/modules/api/workload/workload-servers.ts';
import { Repeats } from '../../../../../src/service/log/repeats.ts';
import { until } from '../../../../support/deadline.ts';
import { type LogLine, recordingLog } from '../../../../support/log.ts';
import { plainBackend, requestOn, version } from '../../../../support/workload/api.ts';
import { ownLimits } from '../../../../support/workload/limits.ts';
import { RawClient, rawRequest } from '../../../../support/workload/raw-client.ts';

interface Context {
  directory: string;
  lines: LogLine[];
  listening: AsyncDisposable;
  requests: Repeats;
}

const test = suite<Context>('module requests in the journal');
const module = parseModuleName('edgeAgent');
const genid = '/modules/%24edgeAgent/genid/gen%2F1';

test.before.each(async (context) => {
  const lines: LogLine[] = [];
  const log = recordingLog((line) => lines.push(line));
  context.lines = lines;
  context.directory = await mkdtemp(join(tmpdir(), 'iotedge-journal-'));
  context.requests = new Repeats({ log });
  const trustBundle: typeof plainBackend.trustBundle = ({ signal }) =>
    new Promise((_resolve, reject) => {
      signal.addEventListener('abort', () => reject(new ServiceError('Cancelled', 'left')));
    });
  const backend = { ...plainBackend, trustBundle };
  const server = new WorkloadServers({ backend, log, requests: context.requests }).of(module);
  const place = { directory: context.directory, name: 'w.sock', mode: 0o600 };
  context.listening = await serveSocket(place, server, ownLimits());
});

test.after.each(async ({ directory, listening, requests }) => {
  await listening[Symbol.asyncDispose]();
  requests[Symbol.dispose]();
  await rm(directory, { recursive: true, force: true });
});

const socketIn = (directory: string): string => join(directory, 'w.sock');

test('are logged for debugging when they are served, each with its own id', async ({
  directory,
  lines,
}) => {
  for (let times = 0; times < 3; times++) {
    await requestOn(socketIn(directory), 'POST', `${genid}/sign?${version}`, { data: 'c2VjcmV0' });
  }
  assert.equal(
    lines.map(({ level, message }) => `${level} ${message}`),
    Array.from({ length: 3 }, () => 'debug workload request completed'),
  );
  const [first] = lines;
  assert.is(first?.fields['module'], 'edgeAgent');
  assert.is(first?.fields['route'], '/modules/:module/genid/:generation/sign');
  assert.equal([first?.fields['method'], first?.fields['status']], ['POST', 200]);
  assert.is(new Set(lines.map(({ fields }) => fields['requestId'])).size, 3);
  assert.match(String(first?.fields['requestId']), /^[0-9a-f-]{36}$/);
  assert.not.match(JSON.stringify(lines), /c2VjcmV0|secret/);
});

test('are logged as refused or as failed, once for many of a kind', async ({
  directory,
  lines,
}) => {
  const certificate = (commonName: string) =>
    requestOn(socketIn(directory), 'POST', `${genid}/certificate/server?${version}`, {
      commonName,
    });
  for (let times = 0; times < 5; times++) await certificate('other');
  await certificate('broken');
  await certificate('later');
  await requestOn(socketIn(directory), 'GET', `/absent?${version}`);
  await requestOn(socketIn(directory), 'GET', '/trust-bundle');
  assert.equal(
    lines.map(({ level, message, fields }) => `${level} ${message} ${String(fields['status'])}`),
    [
      'info workload request refused 403',
      'error workload request failed 500',
      'error workload request failed 503',
      'info workload request refused 404',
      'info workload request refused 400',
    ],
  );
});

test('quote at most 1024 characters of the failure', async ({ directory, lines }) => {
  const path = `/modules/${'x'.repeat(5000)}/certificate/identity?${version}`;
  await requestOn(socketIn(directory), 'POST', path);
  assert.ok(String(lines[0]?.fields['error']).length <= 1024);
});

test('are logged as abandoned when the client disconnects, not as failed', async ({
  directory,
  lines,
}) => {
  const client = new RawClient(socketIn(directory)).send(
    rawRequest(`GET /trust-bundle?${version}`),
  );
  await until(10_000, 'the connection', () => client.socket.bytesWritten > 0);
  await until(10_000, 'a request that is served meanwhile', async () => {
    return (await requestOn(socketIn(directory), 'GET', `/modules?${version}`)).status === 200;
  });
  client[Symbol.dispose]();
  const abandoned = () => lines.filter(({ message }) => message === 'workload request abandoned');
  await until(10_000, 'its record', () => abandoned().length === 1);
  assert.is(abandoned()[0]?.level, 'debug');
});

test.run();
