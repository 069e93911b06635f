/** The timeout of the instrumented module, in a separate file because it takes as long. */
import { once } from 'node:events';
import { writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { asanDeadlineMs, OpensslRig } from '../../support/provider/openssl-rig.ts';

const test = suite('OpenSSL module whose deadline passes, instrumented');

test('gives up when the Keys service or the bus do not reply, and does not retry', async () => {
  await using rig = await OpensslRig.start({ asan: true });
  await rig.keys.create('ec-p256', 'ec-p256');
  await writeFile(join(rig.directory, 'message'), 'a message');
  const program = await rig.compile('reason');
  const path = join(rig.directory, 'mute-bus');
  const mute = createServer((socket) => void socket.unref())
    .listen(path)
    .unref();
  await once(mute, 'listening');
  const sign = ['dgst', '-sha256', '-sign', await rig.keyFile('ec-p256'), 'message'];
  const env = { DBUS_SYSTEM_BUS_ADDRESS: `unix:path=${path}` };
  using _ = await rig.keys.pause();
  const started = Date.now();
  const [silentKeys, silentBus, { stdout }] = await Promise.all([
    rig.openssl(sign),
    rig.openssl(sign, { env }),
    rig.run(program, ['ec-p256']),
  ]);
  assert.ok(Date.now() - started >= asanDeadlineMs);
  assert.equal([silentKeys.code, silentBus.code], [1, 1]);
  assert.match(silentKeys.stderr, 'org.freedesktop.DBus.Error.Timeout');
  assert.match(silentBus.stderr, 'timed out');
  assert.is(stdout.toString().trim(), 'the Keys service did not answer in time');
  assert.is((await rig.keys.calls.all()).length, 1);
  mute.close();
});

test.run();
