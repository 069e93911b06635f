/**
 * A user who types the password that polkit asks for. It takes a login: polkit ignores an agent of the kind that
 * systemctl and iotedgectl start (`--fallback`) for processes outside of a session of logind.
 */
import * as assert from 'uvu/assert';
import { bootedSuite } from '../../support/boot/booted-suite.ts';
import type { BootedSystem } from '../../support/boot/booted-system.ts';
import { Terminal } from '../../support/boot/terminal.ts';

const test = bootedSuite('password at a terminal');
const password = 'correct horse';
const prompt = 'manager$ ';

/** A user whom polkit asks for the own password, at the terminal of a login. */
async function logIn(system: BootedSystem): Promise<Terminal> {
  const create = 'useradd --create-home --shell /bin/sh --groups sudo manager && chpasswd';
  const { code } = await system.run(['id', 'manager']);
  if (code !== 0) await system.output(create, { input: `manager:${password}\n` });
  await system.write('/home/manager/.profile', `PS1='${prompt}'\n`);
  const terminal = Terminal.open(system, 'login manager');
  await terminal.typePassword(password);
  return terminal;
}

const pidOf = async (system: BootedSystem) =>
  (await system.unit('iotedge-keys.service'))['MainPID'];

test('lets iotedgectl restart a service', async (system) => {
  await system.output('systemctl start iotedge-keys.service');
  const before = await pidOf(system);
  await using terminal = await logIn(system);
  await terminal.type('iotedgectl system restart keys; echo "ended=$?"', prompt);
  await terminal.see("Authentication is required to restart 'iotedge-keys.service'");
  await terminal.typePassword(password);
  await terminal.see('AUTHENTICATION COMPLETE');
  await terminal.see('keys: restarted');
  await terminal.see('ended=0');
  assert.is.not(await pidOf(system), before);
});

test('does not when it is wrong', async (system) => {
  const before = await pidOf(system);
  await using terminal = await logIn(system);
  await terminal.type('iotedgectl system restart keys; echo "ended=$?"', prompt);
  await terminal.typePassword('wrong');
  await terminal.see('AUTHENTICATION FAILED');
  await terminal.see('ended=3');
  assert.is(await pidOf(system), before);
});

test('is not asked for with --no-ask-password', async (system) => {
  await using terminal = await logIn(system);
  await terminal.type('iotedgectl system restart keys --no-ask-password; echo "ended=$?"', prompt);
  await terminal.see('ended=3');
});

test.run();
