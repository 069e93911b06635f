/** Hosts whose first address refuses: their TLS sessions are resumed nevertheless, through a proxy too. */
import { once } from 'node:events';
import type { Agent } from 'node:https';
import { request } from 'node:https';
import { type AddressInfo, createServer, type Socket } from 'node:net';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { AgentPool } from '../../../src/https/agent-pool.ts';
import type { ConnectingRequest } from '../../../src/https/happy-eyeballs-agent.ts';
import type { HostAddress } from '../../../src/https/tcp-connect.ts';
import { deadline } from '../../support/deadline.ts';
import { MutualTlsServer } from '../../support/tls/mutual-tls-server.ts';
import { Pki } from '../../support/tls/pki.ts';
import { TunnelProxy } from '../../support/tls/tunnel-proxy.ts';

const test = suite('a host whose first address refuses');

/** localhost as in the `/etc/hosts` of many distributions. */
const lookup = (): Promise<readonly HostAddress[]> =>
  Promise.resolve([
    { address: '::1', family: 6 },
    { address: '127.0.0.1', family: 4 },
  ]);

async function send(url: string, agent: Agent): Promise<void> {
  const outgoing = request(url, { agent }).end();
  const [incoming] = (await deadline(10_000, once(outgoing, 'response'), 'the reply')) as [
    NodeJS.ReadableStream,
  ];
  incoming.resume();
  await once(incoming, 'end');
}

for (const way of ['directly', 'through a proxy']) {
  test(`has its TLS sessions resumed ${way}`, async () => {
    await using pki = await Pki.create();
    const anyClient = { requestCert: false, rejectUnauthorized: false };
    await using server = await MutualTlsServer.start(pki, anyClient, (_, response) => {
      response.setHeader('connection', 'close').end('hello');
    });
    await using proxy = await TunnelProxy.start('u:p');
    const through = { proxy: `http://u:p@localhost:${proxy.port}` };
    const agents = new AgentPool(() => undefined, lookup);
    const agent = agents.get({
      ca: pki.root.certificate,
      ...(way === 'directly' ? {} : through),
    });
    for (let at = 0; at < 3; at++) await send(server.url(), agent);
    agent.destroy();
    const resumed = server.requests.map((seen) => seen.resumed);
    assert.equal(resumed, [false, true, true]);
    assert.is(proxy.targets.length, way === 'directly' ? 0 : 3);
  });
}

test('receives no connection when there is no TLS context', async () => {
  const connected: Socket[] = [];
  const server = createServer((socket) => connected.push(socket)).listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  const agent = new AgentPool(() => undefined, lookup).get({});
  const contextOf = (): never => {
    throw new Error('no key');
  };
  const options: ConnectingRequest = { agent, contextOf };
  const outgoing = request(`https://localhost:${port}`, options).end();
  const [error] = (await deadline(10_000, once(outgoing, 'error'), 'the error')) as [Error];
  assert.is(error.message, 'no key');
  await new Promise((resolve) => setTimeout(resolve, 100)); // a connection would exist by now
  for (const socket of connected) socket.destroy();
  server.close();
  agent.destroy();
  assert.is(connected.length, 0);
});

test.run();
