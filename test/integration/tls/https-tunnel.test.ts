import { once } from 'node:events';
import { request } from 'node:https';
import { createServer, type Socket } from 'node:net';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { HttpsFailure } from '../../../src/service/https-message.ts';
import { TunnelAgent } from '../../../src/service/https-tunnel.ts';
import { deadline } from '../../support/deadline.ts';

const test = suite('tunnel through a proxy');

/** A proxy that answers with headers without end, one every few milliseconds. */
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
    url: new URL(`http://127.0.0.1:${port}`),
    async [Symbol.asyncDispose]() {
      const closed = once(server, 'close');
      server.close();
      for (const socket of sockets) socket.destroy();
      await closed;
    },
  };
}

test('is given up when the answer of the proxy does not end', async () => {
  await using proxy = await startEndlessProxy();
  const agent = new TunnelAgent({ url: proxy.url, answerWithinMs: 300 }, {});
  const outgoing = request('https://localhost/', { agent });
  const failure = new Promise<Error>((resolve) => outgoing.once('error', resolve));
  outgoing.end();
  const error = await deadline(10_000, failure, 'the tunnel to be given up');
  assert.ok(error instanceof HttpsFailure);
  assert.is(error.code, 'ETIMEDOUT');
});

test.run();
