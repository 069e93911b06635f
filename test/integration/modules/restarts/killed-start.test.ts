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

/**
 * Starts a module, ends its process, kills the engine while runc executes a command of its restart, and starts the
 * engine again. Returns the id of the container.
 */
async function cutRestart(context: Context, name: string, command: string): Promise<string> {
  const { device, directory } = context;
  const { machine } = device;
  await device.succeed('CreateModule', ['sssa{ss}a{sv}', name, 'docker', config, '0', '0']);
  await device.succeed('Start', byName(name));
  const id = await inspected(device, name, '.Id');
  const [hold, held] = [join(directory, 'hold'), join(directory, 'held')];
  await writeFile(hold, command);
  process.kill(Number(await inspected(device, name, '.State.Pid')), 'SIGKILL');
  await until(20_000, 'runc to be held', () => exists(held));
  await machine.stopDaemon('SIGKILL');
  await rm(hold);
  await rm(held);
  await machine.startDaemon();
  return id;
}

const exists = (path: string) =>
  access(path).then(
    () => true,
    () => false,
  );

test('are created again when containerd keeps a part of their container', async (context) => {
  const { device } = context;
  const id = await cutRestart(context, 'created', 'create');
  // the engine may not be known to be back; the first attempt after that finds it out
  const start = async () => (await device.call('Start', byName('created'), 'operator')).code === 0;
  await until(30_000, 'its start', start);
  assert.is((await device.module('created'))['State'], 'running');
  assert.is.not(await inspected(device, 'created', '.Id'), id);
});

test('do not run twice when the engine does not know that they run', async (context) => {
  const { device } = context;
  const id = await cutRestart(context, 'unknown', 'start');
  const hint =
    /: it runs, which the engine does not know since it was killed; .* after: (kill .*)$/m;
  const advice = await untilFound(30_000, 'the advice', async () => {
    const { stderr } = await device.call('Start', byName('unknown'), 'operator');
    return hint.exec(stderr)?.[1];
  });
  assert.is(await inspected(device, 'unknown', '.Id'), id);
  await promisify(execFile)('sh', ['-c', advice]);
  await device.succeed('Start', byName('unknown'));
  assert.is(await inspected(device, 'unknown', '.Id'), id);
});

test.run();
