/** Logs over HTTP, as recorded of the original. */
import type { IncomingMessage } from 'node:http';
import { setTimeout as sleep } from 'node:timers/promises';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { ServiceError } from '../../../../../src/errors.ts';
import { logRoutes } from '../../../../../src/modules/api/management/log-routes.ts';
import type { LogEntry } from '../../../../../src/modules/supervisor/module-type.ts';
import { until } from '../../../../support/deadline.ts';
import { bodyOf, getStream } from '../../../../support/http/get-stream.ts';
import { RoutesServer } from '../../../../support/http/routes-server.ts';
import { RecordedModules } from '../../../../support/management/recorded-modules.ts';

interface Context {
  server: RoutesServer;
  modules: RecordedModules;
}

const test = suite<Context>('logs over HTTP');
const version = 'api-version=2022-08-03';

test.before.each(async (context) => {
  context.modules = new RecordedModules();
  context.server = await RoutesServer.open(logRoutes(context.modules));
});
test.after.each(({ server }) => server[Symbol.asyncDispose]());

/** Begins a request; its response is not read. */
const opened = ({ server }: Context, query = ''): Promise<IncomingMessage> =>
  getStream(server.socketPath, `/modules/hub/logs?${version}&${query}`);

/** The status of a response, which is not read. */
async function statusOf(socketPath: string, path: string): Promise<number | undefined> {
  const response = await getStream(socketPath, path);
  response.destroy();
  return response.statusCode;
}

function frame(stream: number, text: string): Buffer {
  const header = Buffer.from([stream, 0, 0, 0, 0, 0, 0, 0]);
  header.writeUInt32BE(text.length, 4);
  return Buffer.concat([header, Buffer.from(text)]);
}

const line = (text: string): LogEntry => ({ stream: 'stdout', time: '', text: Buffer.from(text) });

test('are framed as Docker frames them', async (context) => {
  const response = await opened(context);
  assert.is(response.statusCode, 200);
  assert.is(response.headers['content-type'], 'text/plain');
  assert.is(response.headers['transfer-encoding'], 'chunked');
  assert.equal(await bodyOf(response), Buffer.concat([frame(1, 'one\n'), frame(2, 'two\n')]));
  const time = '2026-11-27T22:53:51.603805489Z';
  assert.equal(
    await bodyOf(await opened(context, 'timestamps=true')),
    Buffer.concat([frame(1, `${time} one\n`), frame(2, `${time} two\n`)]),
  );
});

test('of a terminal have no frames', async (context) => {
  context.modules.isTerminal = true;
  assert.is(String(await bodyOf(await opened(context))), 'one\ntwo\n');
});

test('are asked for by what the query says', async (context) => {
  const asked = async (query: string): Promise<unknown> => {
    await bodyOf(await opened(context, query));
    return JSON.parse(context.modules.calls.at(-1)?.replace('log hub ', '') ?? '');
  };
  assert.equal(await asked(''), {});
  const whole = 'follow=false&tail=all&timestamps=false&since=0&until=0';
  assert.equal(await asked(whole), {});
  assert.equal(await asked('follow=true&tail=0'), { follow: true, tail: 0 });
  assert.equal(await asked('tail=99999999999'), { tail: 2 ** 31 - 1 });
  assert.equal(await asked('tail=1&tail=2'), { tail: 2 });
  const since = '1700000000000000001';
  assert.equal(await asked('since=2023-11-14T22:13:20.000000001Z'), { since });
  assert.equal(await asked('until=1700000000'), { until: '1700000000000000000' });
  const before = BigInt(Date.now()) * 1_000_000n;
  for (const [text, seconds] of [
    ['2s', 2n],
    ['90m', 5400n],
    ['1d', 86_400n],
    ['1%20day', 86_400n],
  ] as const) {
    const { since: ago } = (await asked(`since=${text}`)) as { since: string };
    const late = BigInt(ago) + seconds * 1_000_000_000n - before;
    assert.ok(late >= 0n && late < 20_000_000_000n, `${text}: ${late}`);
  }
});

test('are 400 for what the parameters do not take, and 404 for an unknown module', async ({
  modules,
  server,
}) => {
  const status = (path: string) => statusOf(server.socketPath, `/modules/${path}&${version}`);
  for (const query of [
    'tail=-1',
    'tail=',
    'tail=x',
    'tail=1.5',
    'follow=True',
    'follow=1',
    'follow=',
  ]) {
    assert.is(await status(`hub/logs?${query}`), 400, query);
  }
  for (const query of [
    'timestamps=yes',
    'since=2026-11-26',
    'since=',
    'until=yesterday',
    'since=-1',
  ]) {
    assert.is(await status(`hub/logs?${query}`), 400, query);
  }
  assert.equal(modules.calls, []);
  assert.is(await status('absent/logs?'), 404);
  assert.is(await status('..%2Fhub/logs?'), 400);
  modules.failure = new ServiceError('NotSupported', 'it is kept nowhere');
  assert.is(await status('hub/logs?'), 501);
  modules.failure = new ServiceError('Unavailable', 'the engine is gone');
  assert.is(await status('hub/logs?'), 503);
});

test('end with the last chunk when the container does, or the module is removed', async (context) => {
  for (const end of ['return', 'removal']) {
    let finish = (): void => undefined;
    const finished = new Promise<void>((resolve) => {
      finish = resolve;
    });
    context.modules.entries = async function* () {
      yield [line('one\n')];
      await finished;
      if (end === 'removal') throw new ServiceError('Cancelled', 'the module is removed');
    };
    const response = await opened(context, 'follow=true');
    const body = bodyOf(response);
    finish();
    assert.equal(await body, frame(1, 'one\n'), end);
    assert.ok(response.complete, end);
  }
});

test('are cut off when they cannot be read on', async (context) => {
  context.modules.entries = async function* () {
    yield await Promise.resolve([line('one\n')]);
    throw new ServiceError('Unavailable', 'the engine is gone');
  };
  const response = await opened(context, 'follow=true');
  assert.is(await bodyOf(response).catch(() => 'cut off'), 'cut off');
});

test('that nobody reads are not read from the engine, hold no turn, and are 16 at most', async (context) => {
  let produced = 0;
  context.modules.entries = async function* () {
    while (produced < 100_000) {
      produced++;
      yield await Promise.resolve([line('x'.repeat(10_000))]);
    }
  };
  const responses: IncomingMessage[] = [];
  for (let count = 16; count > 0; count--) responses.push(await opened(context, 'follow=true'));
  let before = -1;
  const isStill = async (): Promise<boolean> => {
    before = produced;
    await sleep(100);
    return produced === before;
  };
  await until(10_000, 'an end of reading', isStill);
  assert.ok(produced < 16 * 200, String(produced));
  const path = `/modules/hub/logs?${version}`;
  assert.is(await statusOf(context.server.socketPath, path), 503);
  for (const response of responses) response.destroy();
  const isFree = async (): Promise<boolean> => {
    const response = await opened(context);
    response.destroy();
    return response.statusCode === 200;
  };
  await until(10_000, 'a place', isFree);
});

test.run();
