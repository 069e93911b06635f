import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { iotedgectl } from '../../../src/cli/iotedgectl.ts';
import { type IncomingMessage, Message, messageType } from '../../../src/dbus/message.ts';
import { keysService } from '../../../src/interfaces/keys.ts';
import { PrivateBus } from '../../support/private-bus.ts';

const test = suite('iotedgectl status');

/** Runs a command against a Keys service that answers every call with an error. */
async function runWithError(errorName: string, ...args: readonly string[]) {
  await using daemon = await PrivateBus.start();
  await using keys = await daemon.connect();
  const receive = ({ header: { serial, sender } }: IncomingMessage): void => {
    const reply = { type: messageType.error, replySerial: serial, destination: sender, errorName };
    keys.send(new Message({ ...reply, signature: 's', body: ['it is \x1b[31mbroken'] }));
  };
  keys.serveCalls({ maxBodyBytes: () => 1024, receive });
  await keys.requestName(keysService.busName);
  process.env['DBUS_SYSTEM_BUS_ADDRESS'] = daemon.address;
  const out: string[] = [];
  const err: string[] = [];
  const code = await iotedgectl(
    args,
    (text) => out.push(text),
    (text) => err.push(text),
  );
  return { code, out: out.join('\n'), err: err.join('\n') };
}

for (const errorName of [
  'org.freedesktop.DBus.Error.AccessDenied',
  'org.iotedge.Error.Failed',
  'org.example.Unheard',
]) {
  test(`shows all services when one answers ${errorName}`, async () => {
    const { code, out } = await runWithError(errorName, 'status');
    assert.is(code, 4);
    assert.match(out, /keys +failing .*broken/);
    assert.not.match(out, '\x1b');
    for (const other of ['certificates', 'identity', 'modules']) {
      assert.match(out, new RegExp(`^${other} +absent`, 'm'));
    }
  });
}

test('answers 5 when no answer came in time, 4 when there is nobody, 3 when it was refused', async () => {
  const codeOf = async (name: string): Promise<number> =>
    (await runWithError(`org.freedesktop.DBus.Error.${name}`, 'keys', 'list')).code;
  assert.is(await codeOf('NoReply'), 5);
  assert.is(await codeOf('ServiceUnknown'), 4);
  assert.is(await codeOf('AccessDenied'), 3);
});

test.run();
