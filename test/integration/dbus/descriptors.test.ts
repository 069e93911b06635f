import { once } from 'node:events';
import { mkdtemp, readdir, rm } from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { Bus } from '../../../src/dbus/bus.ts';
import { client } from '../../../src/dbus/client/client.ts';
import { outputOf } from '../../support/command.ts';
import { deadline } from '../../support/deadline.ts';
import { failureOf } from '../../support/failure.ts';
import { type BusKind, PrivateBus } from '../../support/rig/private-bus.ts';
import { echoRemote, echoService, startEcho } from '../../support/wire/echo-service.ts';

const test = suite<{ directory?: string }>('dbus descriptors');
const source = fileURLToPath(
  new URL('../../../../test/support/native/send-descriptors.c', import.meta.url),
);
const kinds: readonly BusKind[] = ['dbus-daemon', 'dbus-broker'];
const calls = 10_000;

test.before(async (context) => {
  context.directory = await mkdtemp(join(tmpdir(), 'iotedge-descriptors-'));
  const program = join(context.directory, 'send');
  await outputOf('cc', ['-Wall', '-Werror', '-o', program, source, '-lsystemd']);
});

test.after(({ directory = '' }) => rm(directory, { recursive: true, force: true }));

const descriptors = async (): Promise<number> => (await readdir('/proc/self/fd')).length;

/** The authentication side of a bus; resolves with everything that it received until BEGIN, or the end. */
async function conversation(
  directory: string,
  replies: Readonly<Record<string, string>>,
): Promise<{ readonly received: string; readonly failure: string }> {
  const path = join(directory, 'double');
  let received = '';
  const server = createServer((socket) => {
    socket.on('error', () => undefined);
    socket.on('data', (chunk) => {
      received += chunk.toString('latin1');
      const last = received.trimEnd().split('\r\n').at(-1) ?? '';
      const word = last.replace('\0', '').split(' ')[0] ?? '';
      const reply = replies[word];
      if (reply === undefined) socket.end();
      else socket.write(reply);
    });
  });
  server.listen(path);
  await once(server, 'listening');
  const failure = await deadline(15_000, failureOf(Bus.connect(`unix:path=${path}`)), 'an end');
  server.close();
  await rm(path, { force: true });
  return { received, failure };
}

test('negotiates descriptors, and begins only when the bus has replied', async ({
  directory = '',
}) => {
  const agreed = await conversation(directory, {
    AUTH: 'OK 00\r\n',
    NEGOTIATE_UNIX_FD: 'AGREE_UNIX_FD\r\n',
  });
  assert.match(agreed.received, /^\0AUTH EXTERNAL \w+\r\nNEGOTIATE_UNIX_FD\r\nBEGIN\r\n/);
  const refused = await conversation(directory, {
    AUTH: 'OK 00\r\n',
    NEGOTIATE_UNIX_FD: 'ERROR "not here"\r\n',
  });
  assert.match(
    refused.received,
    /\r\nBEGIN\r\n/,
    'a bus that passes no descriptors is one all the same',
  );
  for (const refusal of ['REJECTED EXTERNAL\r\n', 'ERROR\r\n', 'OK\r\n', 'OK 00\r\nOK 00\r\n']) {
    const { received, failure } = await conversation(directory, { AUTH: refusal });
    assert.is(failure, 'Unavailable');
    assert.not.match(received, 'NEGOTIATE', JSON.stringify(refusal));
  }
  for (const odd of ['OK 00\r\n', 'AGREE\r\n', 'AGREE_UNIX_FD\r\nl\x01', 'REJECTED EXTERNAL\r\n']) {
    const { received, failure } = await conversation(directory, {
      AUTH: 'OK 00\r\n',
      NEGOTIATE_UNIX_FD: odd,
    });
    assert.is(failure, 'Unavailable');
    assert.not.match(received, 'BEGIN', JSON.stringify(odd));
  }
});

for (const kind of kinds) {
  test(`closes the descriptors that arrive with ${calls} calls, on ${kind}`, async ({
    directory = '',
  }) => {
    await using rig = await PrivateBus.start(undefined, kind);
    await using served = await rig.connect();
    await startEcho(served);
    const send = async (count: number): Promise<string> =>
      String(
        await outputOf(join(directory, 'send'), [rig.address, served.uniqueName, String(count)]),
      );
    assert.is((await send(10)).trim(), '10');
    const before = await descriptors();
    assert.is((await send(calls)).trim(), String(calls));
    assert.ok((await descriptors()) <= before + 2, 'not a descriptor stays');
    await using friend = await rig.connect();
    await client(friend, echoRemote, echoService.manager).Echo({ data: Buffer.of(1) });
  });
}

test.run();
