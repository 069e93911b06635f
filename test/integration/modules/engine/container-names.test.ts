import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { DockerModules } from '../../../../src/modules/docker/docker-modules.ts';
import { DockerEngine } from '../../../../src/modules/docker/engine/docker-engine.ts';
import {
  digestLabel,
  moduleLabel,
  owner,
  ownerLabel,
} from '../../../../src/modules/docker/labels.ts';
import { apply, type StepContext } from '../../../../src/modules/supervisor/apply.ts';
import { plan } from '../../../../src/modules/supervisor/plan.ts';
import { soon } from '../../../support/deadline.ts';
import { importBusybox } from '../../../support/engine/images.ts';
import { PrivateEngine } from '../../../support/engine/private-engine.ts';
import { failureOf } from '../../../support/failure.ts';
import { silentLog } from '../../../support/log.ts';

interface Context {
  machine: PrivateEngine;
  engine: DockerEngine;
}

const test = suite<Context>('containers by name');
const image = 'localhost/busybox:1';
const name = 'sensor';
const Labels = { [ownerLabel]: owner, [digestLabel]: 'abc', [moduleLabel]: name };
const body = { Image: image, Cmd: ['sleep', '1000'], StopSignal: 'SIGKILL', Labels };

function contextOf(engine: DockerEngine): StepContext {
  const type = new DockerModules(engine, silentLog);
  const none = () => Promise.reject(new Error('not called'));
  const desired = { change: none };
  return { type, name, desired, stopTimeoutS: 0, onProgress: () => {}, onPulled: () => {} };
}

async function firstStep(engine: DockerEngine) {
  const instance = await engine.inspect(name, soon());
  const [step] = plan({ instance, parked: undefined }, { kind: 'absent' });
  if (step === undefined) throw new Error('nothing to do');
  return step;
}

test.before(async (context) => {
  context.machine = await PrivateEngine.start();
  context.engine = new DockerEngine(context.machine.socketPath);
  await importBusybox(context.machine, image);
});

test.after(async ({ machine }) => {
  await machine[Symbol.asyncDispose]();
});

test.after.each(async ({ machine }) => {
  const ids = await machine.docker('ps', '-aq');
  for (const id of ids.split('\n').filter(Boolean)) await machine.docker('rm', '-fv', id);
});

for (const kind of ['stop', 'remove'] as const) {
  test(`does not ${kind} another container that took the name of the inspected one`, async ({
    engine,
    machine,
  }) => {
    await engine.create(name, body, soon());
    if (kind === 'stop') await engine.start(name, soon());
    const step = await firstStep(engine);
    assert.is(step.kind, kind);
    await machine.docker('rm', '-f', name);
    await machine.docker('run', '-d', '--name', name, image, 'sleep', '1000');
    await apply(step, contextOf(engine), soon());
    assert.is(await machine.docker('inspect', '-f', '{{.State.Status}}', name), 'running');
  });
}

test('does not accept the prefix of an id as a name', async ({ engine }) => {
  await engine.create(name, body, soon());
  const container = await engine.inspect(name, soon());
  const beginning = container?.id.slice(0, 6) ?? '';
  assert.is(await engine.inspect(beginning, soon()), undefined);
  const log = engine.log(beginning, {}, soon());
  assert.is(await failureOf(log), 'NotFound');
});

test.run();
