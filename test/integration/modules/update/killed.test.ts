/** The service is killed in the middle of an update: the next process brings it to an end. */
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { Variant } from '../../../../src/dbus/wire/variant.ts';
import { until } from '../../../support/deadline.ts';
import { ModulesRig, type RawCall } from '../../../support/engine/modules-rig.ts';

const test = suite<{ device: ModulesRig }>('updates while the service is killed');
const { image } = ModulesRig;

/** Settings of a module whose health check runs this command. */
function options(check: string) {
  const healthcheck = { Test: ['CMD', check], Interval: 700_000_000, Retries: 1 };
  const createOptions = { Cmd: ['sleep', '1000'], StopSignal: 'SIGKILL', Healthcheck: healthcheck };
  return { image, imagePullPolicy: 'never', createOptions };
}

function call(config: object, wait: boolean): RawCall {
  const body = ['web', 'docker', JSON.stringify(config), {}, { wait: new Variant('b', wait) }];
  return { signature: 'sssa{ss}a{sv}', body };
}

const web: RawCall = { signature: 'sa{sv}', body: ['web', {}] };

test.before(async (context) => {
  context.device = await ModulesRig.start({});
  await context.device.succeed('Describe', ['a{sv}', '0']);
});

test.after(async ({ device }) => {
  await device[Symbol.asyncDispose]();
});

for (const [when, pattern, checks] of [
  ['was accepted', /^web running$/, ['true']],
  ['has parked the old container', /^(web created,)?web.parked-/, ['false']],
  ['has started the new container', /^web running,web.parked-/, ['true', 'false']],
] as const) {
  for (const check of checks) {
    const outcome = check === 'true' ? 'the new' : 'the old';
    test(`end with ${outcome} container alone, if that is after one ${when}`, async ({
      device,
    }) => {
      await device.invoke('CreateModule', call(options('true'), true));
      await device.invoke('Start', web);
      const idOf = () => device.machine.docker('inspect', '--format', '{{.Id}}', 'web');
      const before = await idOf();
      await device.invoke('UpdateModule', call(options(check), false));
      await until(20_000, 'the step', async () =>
        pattern.test((await device.containers()).toSorted().join()),
      );
      await device.rig.stop('modules', 'SIGKILL');
      await device.succeed('Describe', ['a{sv}', '0']);
      await device.untilModule(
        'web',
        (now) => now['State'] === 'running' && now['Operation'] === '',
      );
      const left = async () =>
        [
          ...(await device.containers()),
          await device.machine.docker('images', '-q', 'iotedge-parked'),
        ].join();
      await until(20_000, 'the end of the clean-up', async () => (await left()) === 'web running,');
      const { LastError, RestartReason } = await device.module('web');
      const how = `${String(LastError)}, restarted: ${String(RestartReason)}`;
      assert.is((await idOf()) === before, check === 'false', how);
      await device.invoke('DeleteModule', web);
    });
  }
}

test.run();
