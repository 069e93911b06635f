/** The addresses of a host: which are tried, when, and how they are reported. */
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { createServer, type Server, type Socket } from 'node:net';
import { setTimeout as delay } from 'node:timers/promises';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { HttpsFailure } from '../../../src/https/https-failure.ts';
import { connectTcp, type HostAddress } from '../../../src/https/tcp-connect.ts';
import { deadline, until } from '../../support/deadline.ts';
import { SilentListener } from '../../support/tls/silent-listener.ts';

const test = suite('TCP connection to a host');
const timeoutMs = 20_000;

/** A server on some loopback addresses, which counts open connections. */
class Loopback implements AsyncDisposable {
  readonly port: number;
  readonly open = new Set<Socket>();
  readonly #server: Server;

  private constructor(server: Server) {
    this.#server = server;
    const address = server.address();
    this.port = typeof address === 'object' && address !== null ? address.port : 0;
    server.on('connection', (socket) => {
      this.open.add(socket);
      socket.on('error', () => socket.destroy()); // the other end gives up
      socket.resume().on('close', () => this.open.delete(socket));
    });
  }

  static async start(host: string, port = 0): Promise<Loopback> {
    const server = createServer().listen(port, host);
    await once(server, 'listening');
    return new Loopback(server);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const closed = once(this.#server, 'close');
    this.#server.close();
    for (const socket of this.open) socket.destroy();
    await closed;
  }
}

/** A name that has these addresses. */
function named(...addresses: readonly string[]): () => Promise<readonly HostAddress[]> {
  const of = (address: string): HostAddress => ({
    address,
    family: address.includes(':') ? 6 : 4,
  });
  return () => Promise.resolve(addresses.map(of));
}

async function failureOf(promise: Promise<Socket>): Promise<NodeJS.ErrnoException> {
  const outcome: unknown = await promise.catch((error: unknown) => error);
  if (outcome instanceof Error) return outcome;
  throw new Error('it connected');
}

test('tries the next address at once when one refuses', async () => {
  await using server = await Loopback.start('127.0.0.1');
  const tried: string[] = [];
  const socket = await connectTcp(
    { host: 'host.example', port: server.port },
    {
      timeoutMs,
      lookup: named('::1', '127.0.0.1'),
      onTried: (text) => void tried.push(text),
    },
  );
  assert.is(socket.remoteAddress, '127.0.0.1');
  assert.match(tried.at(-1) ?? '', /^\[::1\]:\d+ E[A-Z]+, 127\.0\.0\.1:\d+ connected$/);
  socket.destroy();
});

test('waits for an address that takes more than a second beside one that has no route', async () => {
  await using listener = await SilentListener.start();
  const connecting = connectTcp(
    { host: 'host.example', port: listener.port },
    { timeoutMs, lookup: named('127.0.0.1', '::1') },
  );
  await delay(500); // the first attempts of the kernel are over
  listener.accept();
  const socket = await deadline(15_000, connecting, 'the connection');
  assert.is(socket.remoteAddress, '127.0.0.1');
  socket.destroy();
});

test('does not wait for a silent address when another one connects', async () => {
  await using listener = await SilentListener.start();
  await using server = await Loopback.start('::1', listener.port);
  const lookup = named('127.0.0.1', '::1');
  const target = { host: 'host.example', port: server.port };
  const tried: string[] = [];
  const onTried = (text: string): void => void tried.push(text);
  const connecting = connectTcp(target, { timeoutMs, lookup, onTried });
  const socket = await deadline(10_000, connecting, 'the connection');
  assert.is(socket.remoteAddress, '::1');
  assert.match(tried.at(-1) ?? '', /^127\.0\.0\.1:\d+ no response, \[::1\]:\d+ connected$/);
  socket.destroy();
});

test('names every address and its failure when none connects', async () => {
  const server = await Loopback.start('127.0.0.1');
  const { port } = server;
  await server[Symbol.asyncDispose]();
  const lookup = named('127.0.0.1', '127.0.0.2', '127.0.0.1', '::1');
  const error = await failureOf(connectTcp({ host: 'host.example', port }, { timeoutMs, lookup }));
  assert.instance(error, HttpsFailure);
  assert.is(error.code, 'ECONNREFUSED');
  const families = `127.0.0.1:${port} ECONNREFUSED, [::1]:${port} `;
  assert.ok(error.message.startsWith(families), error.message);
  assert.ok(error.message.endsWith(`, 127.0.0.2:${port} ECONNREFUSED`), error.message);
});

test('fails with the error of the address that has a route', async () => {
  const server = await Loopback.start('127.0.0.1');
  const { port } = server;
  await server[Symbol.asyncDispose]();
  const noRoute = '224.0.0.1'; // TCP has no route to a multicast group
  const target = { host: 'host.example', port };
  for (const lookup of [named(noRoute, '127.0.0.1'), named('127.0.0.1', noRoute)]) {
    const error = await failureOf(connectTcp(target, { timeoutMs, lookup }));
    assert.is(error.code, 'ECONNREFUSED');
    assert.match(error.message, `${noRoute}:${port} ENETUNREACH`);
  }
  const alone = await failureOf(connectTcp(target, { timeoutMs, lookup: named(noRoute) }));
  assert.is(alone.code, 'ENETUNREACH');
});

test('tries no more than 16 addresses, whatever a name resolves to', async () => {
  const server = await Loopback.start('127.0.0.1');
  const { port } = server;
  await server[Symbol.asyncDispose]();
  const lookup = named(...Array.from({ length: 100 }, (_, at) => `127.0.1.${at + 1}`));
  const error = await failureOf(connectTcp({ host: 'host.example', port }, { timeoutMs, lookup }));
  assert.is(error.message.split(', ').length, 16);
});

test('names the addresses that were silent until the timeout', async () => {
  await using listener = await SilentListener.start();
  const target = { host: 'host.example', port: listener.port };
  const lookup = named('127.0.0.1', '::1');
  const late = failureOf(connectTcp(target, { timeoutMs: 600, lookup }));
  const error = await deadline(15_000, late, 'the end of its time');
  assert.is(error.code, 'ETIMEDOUT');
  assert.match(error.message, /^127\.0\.0\.1:\d+ no response, \[::1\]:\d+ E[A-Z]+$/);
});

/** The number of connecting sockets to a port of 127.0.0.1 on this machine. */
function connectingTo(port: number): number {
  const to = `0100007F:${port.toString(16).toUpperCase().padStart(4, '0')} 02 `; // SYN_SENT
  return readFileSync('/proc/net/tcp', 'latin1').split(to).length - 1;
}

test('closes the connections that it does not return', async () => {
  await using listener = await SilentListener.start();
  const { port } = listener;
  await using _ = await Loopback.start('::1', port);
  const seen: number[] = [];
  const before = connectingTo(port);
  const lookup = named('127.0.0.1', '::1');
  const onTried = (): void => void seen.push(connectingTo(port) - before);
  const connecting = connectTcp({ host: 'host.example', port }, { timeoutMs, lookup, onTried });
  const socket = await deadline(10_000, connecting, 'the connection');
  assert.is(Math.max(...seen), 1); // while the other one was tried
  await until(10_000, 'the end of it', () => connectingTo(port) === before);
  socket.destroy();
});

test('alternates the address families, beginning with that of the first address', async () => {
  const server = await Loopback.start('127.0.0.1');
  const { port } = server;
  await server[Symbol.asyncDispose]();
  const names = ['127.0.0.1', '127.0.0.2', '127.0.0.1', '127.0.0.3', '::1', '::ffff:127.0.0.4'];
  const wanted = ['127.0.0.1', '[::1]', '127.0.0.2', '[::ffff:127.0.0.4]', '127.0.0.3'];
  for (const [found, order] of [
    [names, wanted],
    [names.toReversed(), ['[::ffff:127.0.0.4]', '127.0.0.3', '[::1]', '127.0.0.1', '127.0.0.2']],
  ] as const) {
    const target = { host: 'host.example', port };
    const error = await failureOf(connectTcp(target, { timeoutMs, lookup: named(...found) }));
    const tried = error.message.split(', ').map((one) => one.slice(0, one.indexOf(`:${port} `)));
    assert.equal(tried, order);
  }
});

test('does not wait for a name beyond its timeout or a cancellation', async () => {
  const lookup = (): Promise<never> => new Promise(() => undefined);
  const target = { host: 'host.example', port: 1 };
  const late = failureOf(connectTcp(target, { timeoutMs: 100, lookup }));
  assert.is((await deadline(5000, late, 'the end of its time')).code, 'ETIMEDOUT');
  const stop = new AbortController();
  const stopped = failureOf(connectTcp(target, { timeoutMs, lookup, signal: stop.signal }));
  stop.abort();
  assert.is((await deadline(5000, stopped, 'the end')).code, 'ABORT_ERR');
  const signal = AbortSignal.abort();
  const unwanted = failureOf(connectTcp(target, { timeoutMs, lookup, signal }));
  assert.is((await deadline(5000, unwanted, 'the end at once')).code, 'ABORT_ERR');
});

test.run();
