import { once } from 'node:events';
import { request } from 'node:https';
import { createServer, type Socket } from 'node:net';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import type { ConnectingRequest } from '../../../src/https/happy-eyeballs-agent.ts';
import { HttpsFailure } from '../../../src/https/https-failure.ts';
import { TunnelAgent } from '../../../src/https/tunnel-agent.ts';
import { deadline, until } from '../../support/deadline.ts';

const test = suite('tunnel through a proxy');

/** A proxy that replies with endless headers, one every few milliseconds. */
async function startEndlessProxy() {
  const sockets = new Set<Socket>();
  const server = createServer((socket) => {
    sockets.add(socket);
    socket.on('error', () => socket.destroy()); // the other end gives up
    socket.write('HTTP/1.1 200 Connection established\r\n');
    const timer = setInterval(() => socket.write('x: y\r\n'), 20);
    socket.on('close', () => clearInterval(timer));
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  const port = typeof address === 'object' && address !== null ? address.port : 0;
  return {
    sockets,
    url: new URL(`http://127.0.0.1:${port}`),
    async [Symbol.asyncDispose]() {
      const closed = once(server, 'close');
      server.close();
      for (const socket of sockets) socket.destroy();
      await closed;
    },
  };
}

test('fails when the response of the proxy does not end', async () => {
  await using proxy = await startEndlessProxy();
  const agent = new TunnelAgent({ url: proxy.url, timeoutMs: 300 }, {});
  const outgoing = request('https://localhost/', { agent });
  const failure = new Promise<Error>((resolve) => outgoing.once('error', resolve));
  outgoing.end();
  const error = await deadline(10_000, failure, 'the tunnel to be given up');
  assert.ok(error instanceof HttpsFailure);
  assert.is(error.code, 'ETIMEDOUT');
});

test('closes when it is cancelled', async () => {
  await using proxy = await startEndlessProxy();
  const agent = new TunnelAgent({ url: proxy.url }, {});
  const stop = new AbortController();
  const connecting = { timeoutMs: 20_000, signal: stop.signal };
  const options: ConnectingRequest = { agent, connecting };
  const outgoing = request('https://localhost/', options);
  const failure = new Promise<Error>((resolve) => outgoing.once('error', resolve));
  outgoing.end();
  await until(10_000, 'a request to the proxy', () => proxy.sockets.size === 1);
  stop.abort();
  assert.ok((await deadline(10_000, failure, 'the tunnel to be given up')) instanceof HttpsFailure);
  const ended = (): boolean => [...proxy.sockets].every(({ destroyed }) => destroyed);
  await until(10_000, 'the connection to be closed', ended);
});

test.run();
