/** The limit on the connections of all sockets together. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { connectionLimits } from '../../../../../src/modules/api/http/connections.ts';
import {
  maxSharedConnections,
  SharedConnections,
  type SharingSocket,
} from '../../../../../src/modules/api/http/shared-connections.ts';
import { until } from '../../../../support/deadline.ts';
import { version, WorkloadApi } from '../../../../support/workload/api.ts';
import { RawClient, rawRequest } from '../../../../support/workload/raw-client.ts';

const test = suite('connections of all sockets together');
const bundle = rawRequest(`GET /trust-bundle?${version}`);

async function assertServed(client: RawClient): Promise<void> {
  client.send(bundle);
  assert.is((await client.response()).statusLine, 'HTTP/1.1 200 OK');
}

const isEnded = ({ socket, errorCode }: RawClient): boolean =>
  socket.readableEnded || errorCode !== undefined;

async function untilEnded(clients: readonly RawClient[], count: number): Promise<void> {
  const ended = (): number => clients.filter(isEnded).length;
  await until(
    10_000,
    () => `${count} to be closed, not ${ended()}`,
    () => ended() === count,
  );
}

test('are limited: the socket with the most makes room for the others', async () => {
  const shared = new SharedConnections(6);
  const connections = { ...connectionLimits, most: 2, shared };
  const trustBundle = () => new Promise<string>(() => {});
  await using busy = await WorkloadApi.open({ connections, backend: { trustBundle } });
  await using other = await WorkloadApi.open({ connections });
  const clients = Array.from({ length: 6 }, () => new RawClient(busy.socketPath).send(bundle));
  await until(10_000, 'the connections', () => shared.size === 6);
  using first = new RawClient(other.socketPath);
  await assertServed(first);
  await untilEnded(clients, 1);
  using second = new RawClient(other.socketPath);
  await assertServed(second);
  await untilEnded(clients, 2);
  // its own further connections are closed
  using more = new RawClient(busy.socketPath);
  await more.untilEnd();
  await assertServed(first);
  await untilEnded(clients, 2);
  for (const client of clients) client[Symbol.dispose]();
});

test('are closed when they are idle and another socket needs the room', async () => {
  const connections = { ...connectionLimits, shared: new SharedConnections(2) };
  await using idle = await WorkloadApi.open({ connections });
  await using other = await WorkloadApi.open({ connections });
  const clients = [new RawClient(idle.socketPath), new RawClient(idle.socketPath)];
  for (const client of clients) await assertServed(client);
  await until(10_000, 'another one to be served', async () => {
    using client = new RawClient(other.socketPath).send(bundle);
    return (await client.response().catch(() => undefined)) !== undefined;
  });
  await untilEnded(clients, 1);
  for (const client of clients) client[Symbol.dispose]();
});

test('of a socket that is closed for good are not counted any more', async () => {
  class Recorded extends SharedConnections {
    readonly counted = new Set<SharingSocket>();
    override add(socket: SharingSocket): void {
      this.counted.add(socket);
    }
    override delete(socket: SharingSocket): void {
      this.counted.delete(socket);
    }
  }
  const shared = new Recorded();
  {
    const connections = { ...connectionLimits, shared };
    await using api = await WorkloadApi.open({ connections });
    using client = new RawClient(api.socketPath);
    await assertServed(client);
    assert.is(shared.counted.size, 1);
  }
  assert.is(shared.counted.size, 0);
});

test('do not use all descriptors of the process', () => {
  const root = join(import.meta.dirname, '../../../../../..');
  const unit = readFileSync(join(root, 'systemd-units/iotedge-modules.service'), 'utf8');
  const [, limit] = /^LimitNOFILE=(\d+)$/m.exec(unit) ?? [];
  assert.ok(2 * maxSharedConnections <= Number(limit));
  const page = readFileSync(join(root, 'docs/workload-api.md'), 'utf8');
  assert.match(page, `| connections of all modules together | ${maxSharedConnections};`);
});

test.run();
