import { setTimeout as sleep } from 'node:timers/promises';
import { digestLabel } from '../../../src/modules/docker/labels.ts';
import { until } from '../../support/deadline.ts';
import { ModulesRig } from '../../support/engine/modules-rig.ts';
import { median, type Result } from '../result.ts';
import type { BenchDevice } from './device.ts';

const name = 'target';
const network = 'azure-iot-edge';
const changes: readonly (readonly (readonly string[])[])[] = [
  [['rm', '-f', name]],
  [['rename', name, 'other']],
  [['kill', name]],
  [['stop', name]],
  [['pause', name]],
  [['network', 'disconnect', network, name]],
  [['update', '--memory', '80m', '--memory-swap', '160m', name]],
  [
    ['rm', '-f', name],
    ['run', '-d', '--name', name, ModulesRig.image, 'true'],
    ['rm', '-f', name],
  ],
];

const format = [
  '{{.Name}} {{.State.Status}} {{.HostConfig.Memory}}',
  '{{range $name, $_ := .NetworkSettings.Networks}}{{$name}}{{end}}',
  `{{ne "" (index .Config.Labels "${digestLabel}")}}`,
].join(' ');
const good = `/${name} running 0 ${network} true`;

/** A change of a module's container by `docker` until the container is again as the module demands. */
export async function foreignChanges(device: BenchDevice, rounds: number): Promise<Result> {
  const { machine } = device.rig;
  const isGood = async () =>
    (await machine.docker('inspect', '-f', format, name).catch(() => '')) === good;
  const times: number[] = [];
  let slowest = '';
  for (let round = 0; round < rounds; round++) {
    await device.run(name);
    for (const commands of changes) {
      await until(60_000, 'the module', isGood);
      await sleep(500);
      const startedAt = performance.now();
      for (const command of commands) await machine.docker(...command).catch(() => undefined);
      const changedAt = performance.now();
      await until(60_000, commands.join(), isGood);
      // what is put right during the command took no time
      const ms = performance.now() - Math.max(startedAt, changedAt);
      if (ms > Math.max(0, ...times)) slowest = String(commands[0]?.[0]);
      times.push(ms);
      if (process.env['IOTEDGE_BENCH_EACH'] === '1')
        process.stderr.write(`${commands.map((c) => c[0]).join('+')} ${ms.toFixed(0)}\n`);
    }
    await device.delete(name);
  }
  return {
    what: 'a foreign change of a container until it is repaired',
    measured: `${median(times).toFixed(0)} ms, at most ${Math.max(...times).toFixed(0)} (${slowest})`,
    floor: '',
    wanted: '< 2000 ms',
  };
}
