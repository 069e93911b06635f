/** Limits on the number, the lifetime and the requests of connections of a module. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { connectionLimits } from '../../../../../src/modules/api/http/connections.ts';
import { holdLimits } from '../../../../../src/modules/api/http/hold.ts';
import { maxStreams, streamStallMs } from '../../../../../src/modules/api/http/streams.ts';
import { sendLimits } from '../../../../../src/modules/api/http/unsent.ts';
import { deadline, until } from '../../../../support/deadline.ts';
import { genid, version, WorkloadApi } from '../../../../support/workload/api.ts';
import { ownLimits } from '../../../../support/workload/limits.ts';
import { RawClient, rawRequest } from '../../../../support/workload/raw-client.ts';

const test = suite('connections');
const bundle = rawRequest(`GET /trust-bundle?${version}`);
const absent = rawRequest(`GET /absent?${version}`);
const few = ownLimits({ most: 4 });

async function assertServed(client: RawClient): Promise<void> {
  client.send(bundle);
  assert.is((await client.response()).statusLine, 'HTTP/1.1 200 OK');
}

/** A gate that holds back responses. */
function gate() {
  let open = (): void => undefined;
  const opened = new Promise<void>((resolve) => {
    open = resolve;
  });
  return { opened, open };
}

test('serves many clients that connect at once', async () => {
  await using api = await WorkloadApi.open();
  const body = { keyId: 'primary', algo: 'HMACSHA256', data: 'AAAA' };
  for (const clients of [60, 1000]) {
    const responses = await Promise.all(
      Array.from({ length: clients }, () => api.request('POST', `${genid}/sign?${version}`, body)),
    );
    assert.is(responses.filter(({ status }) => status === 200).length, clients);
  }
});

test('makes clients beyond the limit wait until others disconnect', async () => {
  await using api = await WorkloadApi.open({ connections: few });
  const clients = Array.from({ length: 12 }, () => new RawClient(api.socketPath).send(bundle));
  for (const client of clients) {
    assert.is((await client.response()).statusLine, 'HTTP/1.1 200 OK');
    client[Symbol.dispose]();
  }
});

test('closes connections beyond those that may wait', async () => {
  await using api = await WorkloadApi.open({ connections: { ...few, most: 1, maxWaiting: 1 } });
  using busy = new RawClient(api.socketPath).send('GET /');
  using waits = new RawClient(api.socketPath);
  await sleep(100);
  using over = new RawClient(api.socketPath);
  await over.untilEnd();
  busy[Symbol.dispose]();
  await assertServed(waits);
});

test('keeps idle connections open, and closes the longest idle one for a waiting client', async () => {
  await using api = await WorkloadApi.open({ connections: few });
  const clients = Array.from({ length: 4 }, () => new RawClient(api.socketPath));
  for (const client of clients) {
    await assertServed(client);
    await sleep(20);
  }
  const [first, second, ...rest] = clients as [RawClient, RawClient, ...RawClient[]];
  await assertServed(first);
  using another = new RawClient(api.socketPath);
  await assertServed(another);
  await second.untilEnd();
  assert.is(second.unread, '');
  for (const client of [first, ...rest]) await assertServed(client);
  for (const client of clients) client[Symbol.dispose]();
});

test('serves other requests while the signing service does not reply', async () => {
  const { opened, open } = gate();
  const sign = async () => {
    await opened;
    return Buffer.from('signed');
  };
  await using api = await WorkloadApi.open({ backend: { sign } });
  const signatures = Array.from({ length: 8 }, () =>
    api.request('POST', `${genid}/sign?${version}`, { data: 'AAAA' }),
  );
  await sleep(200);
  for (const [method, path, body] of [
    ['GET', '/trust-bundle', undefined],
    ['GET', '/modules', undefined],
    ['POST', '/modules/edgeAgent/certificate/identity', {}],
  ] as const) {
    const { status } = await deadline(
      20_000,
      api.request(method, `${path}?${version}`, body),
      path,
    );
    assert.ok(status < 300, `${path}: ${status}`);
  }
  open();
  for (const response of signatures) assert.is((await response).status, 200);
});

test('closes no connection with a request in progress, and no new one', async () => {
  const { opened, open } = gate();
  const trustBundle = async () => {
    await opened;
    return 'BUNDLE';
  };
  await using api = await WorkloadApi.open({ connections: few, backend: { trustBundle } });
  const busy = Array.from({ length: 4 }, () => new RawClient(api.socketPath).send(bundle));
  await sleep(100);
  using waits = new RawClient(api.socketPath).send(rawRequest(`GET /modules?${version}`));
  await sleep(1500);
  assert.is(waits.unread, '');
  open();
  for (const client of [...busy, waits]) {
    assert.is((await client.response()).statusLine, 'HTTP/1.1 200 OK');
    client[Symbol.dispose]();
  }
});

test('reads received data before it considers a connection idle', async () => {
  await using api = await WorkloadApi.open({ connections: few });
  const clients = Array.from({ length: 4 }, () => new RawClient(api.socketPath));
  for (const client of clients) await assertServed(client);
  using waits = new RawClient(api.socketPath);
  for (const client of clients) client.send(bundle);
  const heldUpUntil = performance.now() + 1_500;
  while (performance.now() < heldUpUntil); // like a starved machine
  for (const client of clients) {
    assert.is((await client.response()).statusLine, 'HTTP/1.1 200 OK');
  }
  await assertServed(waits);
  for (const client of clients) client[Symbol.dispose]();
});

test('makes room by closing a connection that received nothing', async () => {
  await using api = await WorkloadApi.open({ connections: few });
  const silent = Array.from({ length: 4 }, () => new RawClient(api.socketPath));
  using client = new RawClient(api.socketPath);
  await assertServed(client);
  for (const one of silent) one[Symbol.dispose]();
});

test('closes a connection without a request silently after the idle timeout', async () => {
  const limits = ownLimits({ idleMs: 300, checkMs: 50 });
  await using api = await WorkloadApi.open({ connections: limits });
  using unused = new RawClient(api.socketPath);
  using used = new RawClient(api.socketPath);
  await assertServed(used);
  for (const client of [unused, used]) {
    await client.untilEnd();
    assert.is(client.unread, '');
    assert.is(client.errorCode, undefined);
  }
  assert.is(api.records.length, 1);
});

const megabyte = Buffer.alloc(1 << 20, 'A').toString('base64');

/** A client that requests more than the kernel buffers, and reads nothing of it. */
function silentReader(api: WorkloadApi): RawClient {
  const body = JSON.stringify({ plaintext: megabyte, initializationVector: '' });
  const client = new RawClient(api.socketPath);
  client.socket.pause();
  return client.send(rawRequest(`POST ${genid}/encrypt?${version}`, { body }));
}

test('closes a connection whose client does not read the response', async () => {
  await using api = await WorkloadApi.open({ send: { ...sendLimits, ms: 500 } });
  using client = silentReader(api);
  await until(20_000, 'a response', () => api.records.length === 1);
  await sleep(1000);
  client.socket.resume();
  await client.untilEnd();
  assert.ok(client.unread.length < megabyte.length);
});

test('stops serving while too many responses are unread, and resumes once they are read', async () => {
  let calls = 0;
  const encrypt = (plaintext: Buffer): Promise<Buffer> => {
    calls++;
    return Promise.resolve(plaintext);
  };
  const send = { ...sendLimits, bytes: 2 << 20 };
  await using api = await WorkloadApi.open({ send, backend: { encrypt } });
  const clients = Array.from({ length: 24 }, () => silentReader(api));
  await until(20_000, 'some responses', () => calls >= 2);
  await sleep(1500);
  assert.ok(calls < 12, `${calls} responses wait`);
  for (const client of clients) client.socket.resume();
  for (const client of clients) {
    assert.is((await client.response()).statusLine, 'HTTP/1.1 200 OK');
    client[Symbol.dispose]();
  }
});

test('has the limits of the documentation', () => {
  const path = join(import.meta.dirname, '../../../../../../docs/workload-api.md');
  const page = readFileSync(path, 'utf8');
  const { most, maxWaiting, idleMs, headMs } = connectionLimits;
  assert.match(page, `| connections that are read | ${most};`);
  assert.match(page, `| connections that wait to be read | ${maxWaiting};`);
  assert.match(page, `stays for ${idleMs / 60_000} minutes`);
  assert.match(page, `a head that takes longer than ${headMs / 1000} s`);
  assert.match(
    page,
    `| requests that are held | ${holdLimits.most}, with ${holdLimits.bytes >> 20} MiB`,
  );
  assert.match(page, `a 503 after ${holdLimits.ms / 1000} s`);
  const unread = `${sendLimits.bytes >> 20} MiB for ${sendLimits.ms / 1000} s`;
  assert.match(page, `| answers that are not read | ${unread};`);
  const streams = `| streams (logs, support bundles) | ${maxStreams};`;
  assert.match(
    page,
    `${streams} a connection of which nothing is read for ${streamStallMs / 60_000} minutes`,
  );
});

test('responds to a head that is not complete in time', async () => {
  const limits = ownLimits({ headMs: 200, checkMs: 50 });
  await using api = await WorkloadApi.open({ connections: limits });
  using client = new RawClient(api.socketPath);
  await assertServed(client);
  client.send('GET /modules HTTP/1.1\r\nHo');
  const { statusLine, body } = await client.response();
  assert.is(statusLine, 'HTTP/1.1 408 Late');
  assert.match(body, /^\{"message":"/);
  await client.untilEnd();
});

test('serves a client that has shut down its side of the connection', async () => {
  const { opened, open } = gate();
  const trustBundle = async () => {
    await opened;
    return 'BUNDLE';
  };
  await using api = await WorkloadApi.open({ backend: { trustBundle } });
  using client = new RawClient(api.socketPath).send(bundle, absent);
  client.socket.end();
  await sleep(2_500); // longer than the check for disconnected clients
  open();
  assert.is((await client.response()).statusLine, 'HTTP/1.1 200 OK');
  assert.is((await client.response()).statusLine, 'HTTP/1.1 404 Missing');
  await client.untilEnd();
});

test('detects that a client disconnected, whether it shut down its side before or not', async () => {
  let aborted = 0;
  const trustBundle = (call: { readonly signal: AbortSignal }) =>
    new Promise<string>((_resolve, reject) => {
      call.signal.addEventListener('abort', () => {
        aborted++;
        reject(new Error('left'));
      });
    });
  await using api = await WorkloadApi.open({ backend: { trustBundle } });
  const clients = [true, false].map((ends) => {
    const client = new RawClient(api.socketPath).send(bundle);
    if (ends) client.socket.end();
    return client;
  });
  await sleep(200);
  for (const client of clients) client[Symbol.dispose]();
  await until(10_000, 'both to be detected', () => aborted === 2);
  await until(10_000, 'both to be recorded', () => api.records.length === 2);
  assert.ok(api.records.every(({ abandoned }) => abandoned));
});

test('continues after a failed request, and serves pipelined ones in order', async () => {
  await using api = await WorkloadApi.open();
  using client = new RawClient(api.socketPath);
  client.send(absent);
  assert.is((await client.response()).statusLine, 'HTTP/1.1 404 Missing');
  client.send(absent + bundle + rawRequest('GET /trust-bundle') + bundle);
  const lines: string[] = [];
  for (let left = 4; left > 0; left--) lines.push((await client.response()).statusLine);
  const ok = 'HTTP/1.1 200 OK';
  assert.equal(lines, ['HTTP/1.1 404 Missing', ok, 'HTTP/1.1 400 Invalid', ok]);
});

test('serves a flood of pipelined requests one at a time', async () => {
  let most = 0;
  let busy = 0;
  const trustBundle = async () => {
    most = Math.max(most, ++busy);
    await sleep(1);
    busy--;
    return '';
  };
  await using api = await WorkloadApi.open({ backend: { trustBundle } });
  using client = new RawClient(api.socketPath).send(bundle.repeat(500));
  for (let left = 500; left > 0; left--) {
    assert.is((await client.response()).statusLine, 'HTTP/1.1 200 OK');
  }
  assert.is(most, 1);
});

test('serves a few requests of a module at once, and the others later', async () => {
  const { opened, open } = gate();
  let most = 0;
  let busy = 0;
  const trustBundle = async () => {
    most = Math.max(most, ++busy);
    await opened;
    busy--;
    return '';
  };
  await using api = await WorkloadApi.open({ backend: { trustBundle } });
  const clients = Array.from({ length: 60 }, () => new RawClient(api.socketPath).send(bundle));
  await until(10_000, 'four to be in progress', () => busy === 4);
  await sleep(200);
  open();
  for (const client of clients) {
    assert.is((await client.response()).statusLine, 'HTTP/1.1 200 OK');
    client[Symbol.dispose]();
  }
  assert.is(most, 4);
});

test('closes a connection that pipelines too many requests', async () => {
  const trustBundle = () => new Promise<string>(() => {});
  await using api = await WorkloadApi.open({ backend: { trustBundle } });
  using client = new RawClient(api.socketPath);
  const short = `GET /trust-bundle?${version} HTTP/1.1\r\n\r\n`;
  client.send(short.repeat(20_000));
  await client.untilEnd();
  using next = new RawClient(api.socketPath).send(absent);
  assert.is((await next.response()).statusLine, 'HTTP/1.1 404 Missing');
});

test('closes connections that together pipeline too many requests', async () => {
  const trustBundle = () => new Promise<string>(() => {});
  await using api = await WorkloadApi.open({ backend: { trustBundle } });
  const flood = Array.from({ length: 4 }, () =>
    new RawClient(api.socketPath).send(bundle.repeat(800)),
  );
  const ended = () =>
    flood.filter(({ errorCode, socket }) => errorCode !== undefined || socket.readableEnded);
  await until(10_000, 'the last to end', () => ended().length >= 1);
  for (const client of flood) client[Symbol.dispose]();
  await until(10_000, 'room for others', async () => {
    using next = new RawClient(api.socketPath).send(absent.repeat(900));
    return (await next.response().catch(() => undefined)) !== undefined;
  });
});

test('finishes the requests in progress when it is closed, and no others', async () => {
  const { opened, open } = gate();
  const trustBundle = async () => {
    await opened;
    return 'BUNDLE';
  };
  const api = await WorkloadApi.open({ backend: { trustBundle } });
  using idle = new RawClient(api.socketPath);
  using busy = new RawClient(api.socketPath).send(bundle);
  await sleep(100);
  const closed = api[Symbol.asyncDispose]();
  await idle.untilEnd();
  using late = new RawClient(api.socketPath).send(bundle);
  await late.untilEnd();
  open();
  assert.is((await busy.response()).statusLine, 'HTTP/1.1 200 OK');
  await busy.untilEnd();
  await closed;
});

test('closes promptly, whatever its requests wait for', async () => {
  const trustBundle = () => new Promise<string>(() => {});
  const api = await WorkloadApi.open({ backend: { trustBundle } });
  using client = new RawClient(api.socketPath).send(bundle);
  await sleep(100);
  await deadline(10_000, api[Symbol.asyncDispose](), 'the end');
  await client.untilEnd();
});

test('reads no body before its request is next', async () => {
  let signing = 0;
  const sign = () => {
    signing++;
    return new Promise<Buffer>(() => {});
  };
  await using api = await WorkloadApi.open({ backend: { sign } });
  const body = JSON.stringify({ algo: 'HMACSHA256', data: 'A'.repeat(1 << 20) });
  const request = rawRequest(`POST ${genid}/sign?${version}`, { body });
  using client = new RawClient(api.socketPath);
  for (let left = 10; left > 0; left--) client.send(request);
  await until(10_000, 'the first to be signed', () => signing === 1);
  await sleep(500);
  assert.ok(client.socket.writableLength > 7 << 20, `${client.socket.writableLength} bytes left`);
  assert.is(signing, 1);
});

test.run();
