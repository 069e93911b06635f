/** Responses of unknown length. */
import { setTimeout as sleep } from 'node:timers/promises';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import type { ApiReply, Route } from '../../../../../src/modules/api/http/route.ts';
import { until } from '../../../../support/deadline.ts';
import { RoutesServer } from '../../../../support/http/routes-server.ts';
import { version } from '../../../../support/workload/api.ts';
import { RawClient, rawRequest } from '../../../../support/workload/raw-client.ts';

const test = suite('streamed responses');
const get = (path: string) => rawRequest(`GET ${path}?${version}`);

/** A stream of chunks, and what became of it. */
class Producer {
  readonly #chunkBytes: number;
  produced = 0;
  returned = false;
  aborted = false;

  constructor(chunkBytes: number = 64 << 10) {
    this.#chunkBytes = chunkBytes;
  }

  /** The chunks come at once, or never after those. */
  route(path: string, chunks: number, end: 'done' | 'failed' | 'waits'): Route {
    return {
      method: 'GET',
      path,
      streams: true,
      respond: ({ signal }): ApiReply => {
        signal.addEventListener('abort', () => {
          this.aborted = true;
        });
        return { status: 200, stream: { type: 'text/plain', chunks: this.#chunks(chunks, end) } };
      },
    };
  }

  async *#chunks(count: number, end: string): AsyncGenerator<Buffer> {
    try {
      for (; this.produced < count; this.produced++) yield Buffer.alloc(this.#chunkBytes, 'x');
      if (end === 'failed') throw new Error('private');
      while (end === 'waits') {
        await sleep(10);
        yield Buffer.alloc(0);
      }
    } finally {
      this.returned = true;
    }
  }
}

const plain: Route = { method: 'GET', path: '/plain', respond: () => ({ status: 200, json: {} }) };

test('are chunked, end with the last chunk, and are followed by the next response', async () => {
  const producer = new Producer();
  await using server = await RoutesServer.open([producer.route('/s', 3, 'done'), plain]);
  using client = new RawClient(server.socketPath);
  client.send(get('/s'), get('/plain'));
  await until(5_000, 'both', () => client.unread.endsWith('{}'));
  const [head = '', rest = ''] = client.unread.split('\r\n\r\n', 2);
  assert.match(head, /^HTTP\/1\.1 200 OK\r\n/);
  assert.match(head, /Content-Type: text\/plain/);
  assert.match(head, /Transfer-Encoding: chunked/);
  assert.is(rest.match(/10000\r\n/g)?.length, 3);
  assert.equal(
    server.records.map(({ route, status, abandoned }) => [route, status, abandoned]),
    [
      ['/s', 200, false],
      ['/plain', 200, false],
    ],
  );
});

test('of a client of HTTP/1.0 end with the connection', async () => {
  await using server = await RoutesServer.open([new Producer().route('/s', 1, 'done')]);
  using client = new RawClient(server.socketPath);
  client.send(`GET /s?${version} HTTP/1.0\r\n\r\n`);
  await client.untilEnd();
  assert.is(client.unread.length - client.unread.indexOf('\r\n\r\n') - 4, 64 << 10);
});

test('are produced no faster than they are read', async () => {
  const producer = new Producer();
  await using server = await RoutesServer.open([producer.route('/s', 150, 'done')]);
  using client = new RawClient(server.socketPath);
  client.socket.pause();
  client.send(get('/s'));
  let before = -1;
  await until(10_000, 'the producer to wait', async () => {
    const { produced } = producer;
    await sleep(200);
    const waits = produced > 0 && produced === before;
    before = producer.produced;
    return waits;
  });
  assert.ok(producer.produced < 50, `${producer.produced} chunks`);
  client.socket.resume();
  await until(10_000, 'the rest', () => producer.returned);
  assert.is(producer.produced, 150);
});

test('have their producer ended when the client leaves, read or unread', async () => {
  for (const isRead of [true, false]) {
    const producer = new Producer();
    await using server = await RoutesServer.open([
      producer.route('/s', isRead ? 1 : 1_000, 'waits'),
    ]);
    const client = new RawClient(server.socketPath);
    if (!isRead) client.socket.pause();
    client.send(get('/s'));
    await until(5_000, 'the beginning', () => producer.produced > 0);
    client.socket.destroy();
    await until(5_000, 'the end', () => producer.returned && producer.aborted);
    await until(5_000, 'the record', () => server.records.length === 1);
    assert.is(server.records[0]?.abandoned, true);
  }
});

test('whose producer fails are cut off, without its reason', async () => {
  await using server = await RoutesServer.open([new Producer().route('/s', 1, 'failed')]);
  using client = new RawClient(server.socketPath);
  client.send(get('/s'));
  await client.untilEnd();
  assert.not.match(client.unread, /0\r\n\r\n$|private/);
  assert.match(String(server.records[0]?.error), /private/);
});

test('are limited in number, do not delay other requests, and end with the socket', async () => {
  const producer = new Producer();
  let release = (): void => undefined;
  const released = new Promise<void>((resolve) => {
    release = resolve;
  });
  let isHeld = false;
  const held: Route = {
    ...plain,
    path: '/held',
    respond: async () => {
      isHeld = true;
      await released;
      return { status: 200 };
    },
  };
  await using server = await RoutesServer.open([producer.route('/s', 1, 'waits'), plain, held]);
  const clients = Array.from({ length: 16 }, () => new RawClient(server.socketPath));
  for (const client of clients) client.send(get('/s'));
  await until(10_000, 'all', () => clients.every((client) => client.unread !== ''));
  using other = new RawClient(server.socketPath);
  other.send(get('/s'));
  assert.match((await other.response()).statusLine, /503/);
  other.send(get('/plain'));
  assert.match((await other.response()).statusLine, /200/);
  clients.shift()?.socket.destroy();
  await until(5_000, 'a place', async () => {
    using again = new RawClient(server.socketPath);
    again.send(get('/s'));
    await until(5_000, 'its head', () => again.unread.includes('\r\n\r\n'));
    return again.unread.startsWith('HTTP/1.1 200');
  });
  using holding = new RawClient(server.socketPath);
  holding.send(get('/held'));
  await until(5_000, 'a request in progress', () => isHeld);
  const closed = server.close();
  await Promise.all(clients.map((client) => client.untilEnd()));
  release();
  assert.match((await holding.response()).statusLine, /200/, 'others get their response');
  await closed;
});

/** Sends a stream to a client that does not read; resolves to how many chunks were taken. */
async function unread(count: number): Promise<number> {
  const producer = new Producer(1 << 10);
  const routes = [producer.route('/s', count, 'done')];
  await using server = await RoutesServer.open(routes, { streamStallMs: 300 });
  using client = new RawClient(server.socketPath);
  client.socket.pause();
  client.send(get('/s'));
  await until(10_000, 'the record', () => server.records.length > 0);
  assert.match(String(server.records[0]?.error), 'the client has read nothing for 0.3 s');
  await until(10_000, 'the closed connection', () => producer.returned && producer.aborted);
  return producer.produced;
}

test('end with their connection when the client does not read, whole or not', async () => {
  const taken = await unread(100_000);
  assert.ok(taken < 8 << 10, `${taken} chunks`);
  // the last one fits, and waits to be read
  assert.is(await unread(taken), taken);
});

test('are the only ones without a length: a value that cannot be written as JSON is an error', async () => {
  let json: unknown = 1;
  for (let depth = 0; depth < 200_000; depth++) json = [json];
  const route: Route = { method: 'GET', path: '/deep', respond: () => ({ status: 200, json }) };
  await using server = await RoutesServer.open([route]);
  using client = new RawClient(server.socketPath).send(get('/deep'));
  assert.match((await client.response()).statusLine, / 500 /);
  assert.equal(
    server.records.map(({ status }) => status),
    [500],
  );
});

test.run();
