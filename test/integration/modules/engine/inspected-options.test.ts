/** Create options as users copy them from `docker inspect`, where modules may not be elevated. */
import { readFile } from 'node:fs/promises';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { objectAt } from '../../../../src/modules/docker/create-options/create-options.ts';
import { ModulesRig } from '../../../support/engine/modules-rig.ts';

const test = suite<{ device: ModulesRig }>('inspected create options');
const { image } = ModulesRig;
const byName = { signature: 'sa{sv}', body: ['sensor', {}] };
const richly = `--health-cmd true --publish 8080:80 --volume /data --ulimit nofile=1024:2048 --tmpfs /t
  --env A=1 --label x=y --init --memory 64m --log-driver json-file --log-opt max-size=1m --restart always
  --dns 1.1.1.1 --add-host a:1.2.3.4 --hostname h --network bridge --pids-limit 100 --cap-drop ALL
  --read-only --security-opt no-new-privileges --stop-timeout 3 --user 5 --workdir /t --expose 81/udp`;

function create(device: ModulesRig, createOptions: unknown): Promise<string> {
  const body = ['sensor', 'docker', JSON.stringify({ image, createOptions }), {}, {}];
  return device.errorOf('CreateModule', { signature: 'sssa{ss}a{sv}', body });
}

/** The inspection of a container, arranged like create options. */
async function inspected(device: ModulesRig, args: readonly string[]): Promise<object> {
  const id = await device.machine.docker('create', ...args, image, 'sleep', '1000');
  const member = async (path: string): Promise<unknown> =>
    JSON.parse(await device.machine.docker('inspect', '--format', `{{json .${path}}}`, id));
  const EndpointsConfig = await member('NetworkSettings.Networks');
  const options = {
    ...objectAt(await member('Config'), 'Config'),
    HostConfig: await member('HostConfig'),
    NetworkingConfig: { EndpointsConfig },
  };
  await device.machine.docker('rm', id);
  return options;
}

test.before(async (context) => {
  context.device = await ModulesRig.start({});
});

test.after(async ({ device }) => {
  await device?.[Symbol.asyncDispose]();
});

test.after.each(async ({ device }) => {
  await device.errorOf('DeleteModule', byName);
});

for (const [title, args] of [
  ['a plain container', ''],
  ['a container with everything that a module may have', richly],
] as const) {
  test(`creates and starts a module from the inspection of ${title}`, async ({ device }) => {
    const options = await inspected(device, args.split(/\s+/).filter(Boolean));
    assert.is(await create(device, options), 'no failure');
    await device.invoke('Start', byName);
    await device.untilState('sensor', 'running');
  });
}

test('refuses the inspection of a container with access to the host', async ({ device }) => {
  for (const args of ['--privileged', '--pid host', '--security-opt systempaths=unconfined']) {
    const options = await inspected(device, args.split(' '));
    assert.is(await create(device, options), 'AccessDenied', args);
  }
});

test('accepts the inspection of an older engine, in which nothing is set', async ({ device }) => {
  const file = new URL('../../../../../test/fixtures/inspected-container.json', import.meta.url);
  const options: unknown = JSON.parse(await readFile(file, 'utf8'));
  assert.is(await create(device, options), 'no failure');
});

test.run();
