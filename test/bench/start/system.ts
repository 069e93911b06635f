import { performance } from 'node:perf_hooks';
import { Bus } from '../../../src/dbus/bus.ts';
import { client } from '../../../src/dbus/client/client.ts';
import {
  certificatesInterface,
  certificatesService,
} from '../../../src/interfaces/certificates.ts';
import { BootedCloud } from '../../support/boot/booted-cloud.ts';
import { BootedSystem } from '../../support/boot/booted-system.ts';
import { docker, prepareDevice, rebootUntilAgentIsWell } from '../../support/boot/device.ts';
import { median, type Result } from '../result.ts';

const units = { keys: 'iotedge-keys.service', certificates: 'iotedge-certificates.service' };
const boots = 3;

/** Activation by a booted systemd, the time from its boot to a running module, and the command line. */
export async function systems(rounds = 15): Promise<readonly Result[]> {
  await using system = await BootedSystem.boot();
  await using cloud = await BootedCloud.start(system);
  await prepareDevice(system, cloud);
  const boot = await bootTimes(system);
  await using bus = await Bus.connect(`unix:path=${system.path('/run/dbus/system_bus_socket')}`);
  const certificates = client(bus, certificatesService, certificatesInterface);
  const csr = await newRequest(system);
  const issue = () => certificates.Issue({ certificate_id: 'app', csr });
  return [
    await activations(system, {
      what: 'activation of certificates by systemd to its first reply',
      stopped: [units.certificates],
      rounds,
      call: () => certificates.Describe({}),
      isBounded: true,
    }),
    await activations(system, {
      what: 'activation of certificates, and of keys for it, to a certificate issued',
      stopped: Object.values(units),
      rounds,
      call: issue,
    }),
    await statuses(system, rounds),
    {
      what: 'boot of systemd to the requests of a module done',
      measured: `${(median(boot.map(({ ours }) => ours)) / 1000).toFixed(1)} s`,
      floor: `${(median(boot.map(({ engine }) => engine)) / 1000).toFixed(1)} s to the engine`,
    },
  ];
}

interface ActivationOptions {
  readonly what: string;
  readonly rounds: number;
  /** Units that do not run at the call; all others do. */
  readonly stopped: readonly string[];
  readonly call: () => Promise<unknown>;
  readonly isBounded?: boolean;
}

/** The time of a call that starts services, beside a Node in the same system. */
async function activations(
  system: BootedSystem,
  { what, rounds, stopped, call, isBounded = false }: ActivationOptions,
): Promise<Result> {
  const ours: number[] = [];
  const floor: number[] = [];
  await system.output(['systemctl', 'start', ...Object.values(units)]);
  while (ours.length < rounds) {
    await system.output(['systemctl', 'stop', ...stopped]);
    await system.output(['systemctl', 'reset-failed']); // the start limits
    const startedAt = performance.now();
    await call();
    ours.push(performance.now() - startedAt);
    floor.push(await nodeMs(system));
  }
  const bound = 2 * median(floor) + 100;
  return {
    what,
    measured: `${median(ours).toFixed(0)} ms`,
    floor: `${median(floor).toFixed(0)} ms node -e 0`,
    ratio: median(ours) / median(floor),
    ...(isBounded && { wanted: `<= 2 x + 100 ms: ${bound.toFixed(0)} ms` }),
  };
}

async function statuses(system: BootedSystem, rounds: number): Promise<Result> {
  const ours: number[] = [];
  const floor: number[] = [];
  while (ours.length < rounds) {
    ours.push(await timeOf(system, 'iotedgectl status >/dev/null'));
    floor.push(await nodeMs(system));
  }
  return {
    what: 'iotedgectl status, four services running',
    measured: `${median(ours).toFixed(0)} ms`,
    floor: `${median(floor).toFixed(0)} ms node -e 0`,
    ratio: median(ours.map((value, index) => value / (floor[index] ?? Number.NaN))),
    wanted: '<= 2.00',
  };
}

const nodeMs = (system: BootedSystem) => timeOf(system, '/usr/lib/iotedge/bin/node -e 0');

/**
 * The milliseconds that a command takes inside, without the entry to the namespaces. Node is slower where
 * NODE_EXTRA_CA_CERTS is set, which services do not have.
 */
async function timeOf(system: BootedSystem, command: string): Promise<number> {
  const script = `start=$(date +%s%N); ${command} || exit; echo $(($(date +%s%N) - start))`;
  const clean = ['env', '--ignore-environment', `PATH=${process.env['PATH'] ?? ''}`];
  return Number(await system.output([...clean, 'sh', '-c', script])) / 1e6;
}

/** Milliseconds from the start of process 1 to the last record of the agent, and to the engine's readiness. */
async function bootTimes(
  system: BootedSystem,
): Promise<readonly { readonly ours: number; readonly engine: number }[]> {
  const times = [];
  await rebootUntilAgentIsWell(system); // it provisions the device and creates the container
  while (times.length < boots) {
    await rebootUntilAgentIsWell(system);
    const since = await system.output(
      'busctl get-property org.freedesktop.systemd1 /org/freedesktop/systemd1 org.freedesktop.systemd1.Manager UserspaceTimestamp',
    );
    const startedAt = Number(since.split(' ')[1]) / 1000;
    const log = await docker(system, 'logs', '--timestamps', 'edgeAgent');
    const [well = ''] = log
      .trimEnd()
      .split('\n')
      .filter((line) => line.endsWith('all is well'))
      .slice(-1);
    const { ActiveEnterTimestampMonotonic: engine } = await system.unit('docker.service');
    const clock = await system.output(
      'systemctl show --property=UserspaceTimestampMonotonic --value',
    );
    times.push({
      ours: Date.parse(well.split(' ')[0] ?? '') - startedAt,
      engine: (Number(engine) - Number(clock)) / 1000,
    });
  }
  return times;
}

async function newRequest(system: BootedSystem): Promise<Buffer> {
  const pem = await system.output(
    'openssl req -new -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj /CN=app -keyout /dev/null 2>/dev/null',
  );
  return Buffer.from(`${pem}\n`);
}
