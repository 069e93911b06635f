import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { runCommand } from '../../support/command.ts';
import { compileWithKeysClient } from '../../support/provider/keys-client.ts';
import { PrivateBus } from '../../support/rig/private-bus.ts';

const test = suite('refusal of calls of the Keys service, instrumented');
const instrumented = ['-g', '-fsanitize=address,undefined', '-fno-sanitize-recover=all'];

test('ends a call that is still connecting, and those that wait for it', async () => {
  await using bus = await PrivateBus.start();
  const program = await compileWithKeysClient('refusal', bus.directory, ...instrumented);
  const mute = join(bus.directory, 'mute');
  const env = { DBUS_SYSTEM_BUS_ADDRESS: `unix:path=${mute}` };
  const { code, stderr } = await runCommand(program, [mute], { env });
  assert.is(code, 0, stderr);
});

test('does not affect the new owner of a reused descriptor number', async () => {
  await using bus = await PrivateBus.start();
  const options = [...instrumented, '-Wl,--wrap=sd_bus_process'];
  const program = await compileWithKeysClient('stale-descriptor', bus.directory, ...options);
  const env = { DBUS_SYSTEM_BUS_ADDRESS: bus.address };
  const { code, stderr } = await runCommand(program, [], { env });
  assert.is(code, 0, stderr);
});

test.run();
