/** Modules whose engine is killed while it starts their container. */
import { execFile } from 'node:child_process';
import { access, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { until, untilFound } from '../../../support/deadline.ts';
import { ModulesRig } from '../../../support/engine/modules-rig.ts';

interface Context {
  readonly device: ModulesRig;
  readonly directory: string;
}

const test = suite<Context>('modules whose start is cut');
const { image } = ModulesRig;
const config = JSON.stringify({
  image,
  createOptions: { Cmd: ['sleep', '1000'], StopSignal: 'SIGKILL' },
});

/** Makes runc wait after these commands as long as a file `hold` is there; it says so by a file `held`. */
const heldRuntime = (directory: string, path: string) => `#!/bin/sh
PATH=${path}
runc "$@"
code=$?
case " $* " in
  *" $(cat ${directory}/hold 2>/dev/null || echo nothing) "*)
    touch ${directory}/held
    while [ -e ${directory}/hold ]; do sleep 0.05; done
    ;;
esac
exit $code
`;

test.before(async (context) => {
  const directory = await mkdtemp(join(tmpdir(), 'iotedge-runtime-'));
  const runtime = join(directory, 'runtime');
  await writeFile(runtime, heldRuntime(directory, process.env['PATH'] ?? ''), {
    mode: 0o755,
  });
  const options = ['--live-restore', `--add-runtime=held=${runtime}`, '--default-runtime=held'];
  const device = await ModulesRig.start({}, { options });
  Object.assign(context, { device, directory });
});

test.after(async ({ device, directory }) => {
  await device[Symbol.asyncDispose]();
  await rm(directory, { recursive: true });
});

const byName = (name: string) => ['sa{sv}', name, '0'];
const inspected = ({ machine }: ModulesRig, name: string, member: string) =>
  machine.docker('inspect', '--format', `{{${member}}}`, name);

/** Creates a module; returns the id of its container. */
async function created({ device }: Context, name: string): Promise<string> {
  await device.succeed('CreateModule', ['sssa{ss}a{sv}', name, 'docker', config, '0', '0']);
  return inspected(device, name, '.Id');
}

/** Kills the engine while runc executes a command of what is begun, and starts the engine again. */
async function cut<T>(
  { device: { machine }, directory }: Context,
  command: string,
  begin: () => T | Promise<T>,
): Promise<T> {
  const [hold, held] = [join(directory, 'hold'), join(directory, 'held')];
  await writeFile(hold, command);
  const begun = await begin();
  await until(20_000, 'runc to be held', () => exists(held));
  await machine.stopDaemon('SIGKILL');
  await rm(hold);
  await rm(held);
  await machine.startDaemon();
  return begun;
}

const exists = (path: string) =>
  access(path).then(
    () => true,
    () => false,
  );

test('are created again by the first start that finds a part of them in containerd', async (context) => {
  const { device } = context;
  const id = await created(context, 'created');
  const start = () => device.call('Start', byName('created'), 'operator');
  const { first } = await cut(context, 'create', () => ({ first: start() }));
  assert.match((await first).stderr, /cannot be reached/);
  await device.untilManager(({ LastError }) => !/cannot be reached/.test(String(LastError)));
  assert.is((await device.module('created'))['State'], 'created');
  assert.is((await start()).stderr, '');
  assert.is((await device.module('created'))['State'], 'running');
  assert.is.not(await inspected(device, 'created', '.Id'), id);
});

test('do not run twice when the engine does not know that they run', async (context) => {
  const { device } = context;
  const id = await created(context, 'unknown');
  const start = () => device.call('Start', byName('unknown'), 'operator');
  const { first } = await cut(context, 'start', () => ({ first: start() }));
  assert.match((await first).stderr, /cannot be reached/);
  const hint =
    /: it runs, which the engine does not know since it was killed; .* after: (kill .*)$/m;
  const advice = await untilFound(
    30_000,
    'the advice',
    async () => hint.exec((await start()).stderr)?.[1],
  );
  assert.is(await inspected(device, 'unknown', '.Id'), id);
  const next = ['sssa{ss}a{sv}', 'unknown', 'docker', config.replace('1000', '2000'), '0', '0'];
  await device.succeed('UpdateModule', next);
  assert.match((await start()).stderr, hint, 'the next container');
  await device.untilModule('unknown', ({ Operation }) => Operation === '');
  assert.match((await device.call('DeleteModule', byName('unknown'), 'operator')).stderr, hint);
  assert.is(await inspected(device, 'unknown', '.Id'), id);
  await promisify(execFile)('sh', ['-c', advice]);
  await device.succeed('Start', byName('unknown'));
  assert.is(await inspected(device, 'unknown', '.Id'), id);
});

test.run();
