import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { outputOf } from '../../support/command.ts';
import { deadline } from '../../support/deadline.ts';
import { type BusKind, PrivateBus } from '../../support/rig/private-bus.ts';
import { echoService, startEcho } from '../../support/wire/echo-service.ts';

const test = suite('dbus with clients of other libraries');
const kinds: readonly BusKind[] = ['dbus-daemon', 'dbus-broker'];
/** The python of Debian: other installations do not find its packages. */
const python = '/usr/bin/python3';
const { busName, path, manager } = echoService;

function script(name: string): string {
  return fileURLToPath(new URL(`../../../../test/support/clients/${name}`, import.meta.url));
}

for (const kind of kinds) {
  test(`replies to a hundred calls in one write of libdbus, on ${kind}`, async () => {
    await using rig = await PrivateBus.start(undefined, kind);
    await using served = await rig.connect();
    await startEcho(served);
    const args = [
      script('libdbus-client.py'),
      rig.address,
      busName,
      '/org/freedesktop/LogControl1',
    ];
    const replied = await outputOf(python, [...args, '100']);
    assert.is(String(replied).trim(), '100');
  });

  test(`serves a hundred proxies of GLib again after a restart, on ${kind}`, async () => {
    await using rig = await PrivateBus.start(undefined, kind);
    const first = await rig.connect();
    const { objects } = await startEcho(first);
    objects.put('a', { Name: 'a', Size: 1n });
    const args = [script('glib-client.py'), rig.address, busName, path, manager.name, '100'];
    const client = spawn(python, args, { stdio: ['pipe', 'pipe', 'inherit'] });
    try {
      const lines = createInterface({ input: client.stdout })[Symbol.asyncIterator]();
      const line = async (): Promise<unknown> =>
        (await deadline(30_000, lines.next(), 'the client')).value;
      assert.is(await line(), '100 1');
      await first.close();
      await using second = await rig.connect();
      const again = await startEcho(second);
      again.objects.put('a', { Name: 'a', Size: 1n });
      again.objects.put('b', { Name: 'b', Size: 2n });
      client.stdin.write('\n');
      assert.is(await line(), '100 2');
    } finally {
      const ended = once(client, 'close');
      client.kill('SIGKILL');
      await deadline(5000, ended, 'the client to end');
    }
  });
}

test.run();
