/** The properties of Modules1 on the first read, before any operation on a module. */
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { childPath } from '../../../src/dbus/path.ts';
import { modulesService } from '../../../src/interfaces/modules.ts';
import { ModulesRig } from '../../support/engine/modules-rig.ts';

const test = suite<{ device: ModulesRig }>('the first read of Modules1');
const { busName, path, child, manager } = modulesService;
const config = {
  image: ModulesRig.image,
  createOptions: { Cmd: ['sleep', '1000'], StopSignal: 'SIGKILL' },
};

test.before(async (context) => {
  context.device = await ModulesRig.start({ agent: { config } });
  await context.device.agentRuns();
});
test.after(({ device }) => device[Symbol.asyncDispose]());

/** Properties as busctl prints them, by the one call that starts the service. */
async function firstRead({ rig }: ModulesRig, object: string, ...names: readonly string[]) {
  await rig.stop('modules');
  const name = object === path ? manager.name : child.interface.name;
  const words = ['get-property', busName, object, name, ...names];
  const { code, stdout, stderr } = await rig.busctl(words);
  assert.is(code, 0, stderr);
  return stdout.trim().split('\n');
}

test('returns the engine, and the state of a running module', async ({ device }) => {
  const before = await device.module('edgeAgent');
  assert.is(before['State'], 'running');
  const agent = childPath(path, child.segment, 'edgeAgent');
  const shown = await firstRead(device, agent, 'State', 'ConfigDigest', 'LastError');
  assert.equal(shown, ['s "running"', `s "${String(before['ConfigDigest'])}"`, 's ""']);
  assert.is.not(before['ConfigDigest'], '');
  const [engine = '', health] = await firstRead(device, path, 'Engine', 'Health');
  assert.match(engine, '"reachable" b true');
  assert.is(health, 's "ok"');
});

test('reports that there is no engine', async ({ device }) => {
  await device.machine.stopDaemon();
  const [engine = '', error = ''] = await firstRead(device, path, 'Engine', 'LastError');
  assert.match(engine, '"reachable" b false');
  assert.match(error, 'engine/docker.sock cannot be reached: is it installed and running?');
});

test.run();
