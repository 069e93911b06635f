/** Changes of a module's container by another client of the engine, again and again: none waits for a back-off. */
import { suite } from 'uvu';
import { digestLabel } from '../../../../src/modules/docker/labels.ts';
import { until } from '../../../support/deadline.ts';
import { ModulesRig } from '../../../support/engine/modules-rig.ts';

const test = suite<{ device: ModulesRig }>('foreign changes');
const name = 'sensor';
const network = 'azure-iot-edge';
const { image } = ModulesRig;
const createOptions = { Cmd: ['sleep', '1000'], StopSignal: 'SIGKILL' };
/** Shorter than the second delay of a back-off, which is 10 s; an idle machine needs less than 2 s. */
const limitMs = 8_000;

const format = [
  '{{.Name}} {{.State.Status}} {{.HostConfig.Memory}}',
  '{{range $name, $_ := .NetworkSettings.Networks}}{{$name}}{{end}}',
  `{{ne "" (index .Config.Labels "${digestLabel}")}}`,
].join(' ');

const isGood = async ({ machine }: ModulesRig) =>
  (await machine.docker('inspect', '-f', format, name).catch(() => '')) ===
  `/${name} running 0 ${network} true`;

test.before(async (context) => {
  const device = await ModulesRig.start({});
  context.device = device;
  await device.succeed('Describe', ['a{sv}', '0']);
  const body = [name, 'docker', JSON.stringify({ image, createOptions }), {}, {}];
  await device.invoke('CreateModule', { signature: 'sssa{ss}a{sv}', body });
  await device.invoke('Start', { signature: 'sa{sv}', body: [name, {}] });
});

test.after(async ({ device }) => {
  await device[Symbol.asyncDispose]();
});

for (const [what, ...commands] of [
  ['removed', ['rm', '-f', name]],
  ['killed', ['kill', name]],
  ['stopped after that', ['stop', name]],
  ['renamed', ['rename', name, 'other']],
  ['disconnected from its network', ['network', 'disconnect', network, name]],
  ['limited', ['update', '--memory', '80m', '--memory-swap', '160m', name]],
  [
    'replaced by one of others, which is removed later',
    ['rm', '-f', name],
    ['run', '-d', '--name', name, image, 'true'],
    ['rm', '-f', name],
  ],
] as const) {
  test(`are put right at once when the container is ${what}`, async ({ device }) => {
    await until(limitMs, 'the container as demanded', () => isGood(device));
    for (const command of commands) {
      // the runtime may have been faster
      await device.machine.docker(...command).catch(() => undefined);
    }
    await until(limitMs, `it as demanded after ${commands.join()}`, () => isGood(device));
  });
}

test.run();
