import type { Agent } from 'node:https';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { AgentPool } from '../../../src/https/agent-pool.ts';
import { HttpsFailure } from '../../../src/https/https-failure.ts';
import type { ClientCertificate } from '../../../src/https/https-request.ts';

const test = suite('TLS agents');

const proxyOf = (at: number): string => `http://proxy-${at}.example:3128`;

test('are shared for the same route only', () => {
  const agents = new AgentPool(() => undefined);
  const plain = agents.get({});
  assert.is(agents.get({}), plain);
  const [first, second] = [agents.get({ proxy: proxyOf(1) }), agents.get({ proxy: proxyOf(2) })];
  assert.is.not(first, plain);
  assert.is.not(second, first);
  assert.is.not(agents.get({ proxy: 'http://user:word@proxy-1.example:3128' }), first);
  assert.is.not(agents.get({ ca: '' }), plain);
  assert.is(agents.get({ proxy: proxyOf(1) }), first);
});

test('are 16 at most: the least recently used one is closed', () => {
  const agents = new AgentPool(() => undefined);
  const closed: number[] = [];
  const take = (at: number): Agent => agents.get({ proxy: proxyOf(at) });
  for (let at = 0; at < 16; at++) {
    const agent = take(at);
    const destroy = agent.destroy.bind(agent);
    agent.destroy = () => {
      closed.push(at);
      destroy();
    };
  }
  const oldest = take(0); // used again: it is the most recent one now
  assert.equal(closed, []);
  take(16);
  assert.equal(closed, [1]);
  assert.is(take(0), oldest);
  take(1);
  assert.equal(closed, [1, 2]);
});

test('reuse connections, and verify every server', () => {
  const { options, maxSockets } = new AgentPool(() => undefined).get({});
  assert.is(maxSockets, 8);
  assert.is(options.keepAlive, true);
  assert.is(options.rejectUnauthorized, true);
});

test('are not created for an unreadable certificate', () => {
  const agents = new AgentPool(() => undefined);
  const clientCertificate: ClientCertificate = { chainPem: 'x', keyId: 'a', spki: Buffer.of(1) };
  assert.throws(
    () => agents.get({ clientCertificate }),
    (error: unknown) => error instanceof HttpsFailure && error.kind === 'client-certificate',
  );
});

test.run();
