import { execFile } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { client } from '../../../src/dbus/client/client.ts';
import { identityInterface, identityService } from '../../../src/interfaces/identity.ts';
import { keysInterface, keysService } from '../../../src/interfaces/keys.ts';
import { version } from '../../support/workload/api.ts';
import { type Pace, several } from '../pace.ts';
import { cpuMicroseconds } from '../processes.ts';
import { median, quantile, type Result } from '../result.ts';
import { startedProcess } from '../started-process.ts';
import type { BenchDevice } from './device.ts';
import { type Load, load, requestText } from './http-client.ts';

const script = fileURLToPath(new URL('load-process.js', import.meta.url));
const count = 4000;
const floodMs = 5_000;
const data = Buffer.from('hub%2Fdevices%2Fdevice%2Fmodules%2Fmodule\n1700000000');

/** Requests of a module that signs, as its SDK does. */
function signing(device: BenchDevice, name: string, connections: number): Load {
  const id = name === 'edgeAgent' ? '$edgeAgent' : name;
  const own = [id, device.generationOf(id)].map(encodeURIComponent).join('/genid/');
  const body = JSON.stringify({
    keyId: 'primary',
    algo: 'HMACSHA256',
    data: data.toString('base64'),
  });
  const request = requestText('POST', `/modules/${own}/sign?${version}`, body);
  return { socketPath: device.socketOf(name), request, connections };
}

/** Sign of the Keys service with the same key, from this process. */
async function busPace(device: BenchDevice, inFlight: number): Promise<Pace> {
  const identities = client(device.bus, identityService, identityInterface);
  const keys = client(device.bus, keysService, keysInterface);
  const { identity } = await identities.GetModuleIdentity({ module_id: '$edgeAgent' });
  const { key_id, derivation } = identity;
  const request = { key_id, mechanism: 'hmac-sha256', data, options: { derivation } };
  const times: number[] = [];
  const startedAt = performance.now();
  const work = async (): Promise<void> => {
    while (times.length < count) {
      const at = performance.now();
      await keys.Sign(request);
      times.push(performance.now() - at);
    }
  };
  await Promise.all(Array.from({ length: inFlight }, work));
  return {
    perSecond: times.length / ((performance.now() - startedAt) / 1000),
    p50: quantile(times, 0.5) * 1000,
    p99: quantile(times, 0.99) * 1000,
  };
}

async function round(device: BenchDevice) {
  const isEnough = (done: number): boolean => done >= count;
  const before = await cpuMicroseconds(device.pid);
  const http = await load(signing(device, 'edgeAgent', several), isEnough);
  const cpu = ((await cpuMicroseconds(device.pid)) - before) / count;
  return {
    http,
    cpu,
    bus: await busPace(device, several),
    httpAlone: await load(signing(device, 'edgeAgent', 1), isEnough),
    busAlone: await busPace(device, 1),
  };
}

type Round = Awaited<ReturnType<typeof round>>;

/** `sign` of the workload API against Sign through the bus, with the same key. */
export async function signs(device: BenchDevice, rounds: number): Promise<readonly Result[]> {
  await startedProcess(device.rig.rig, 'keys');
  await round(device); // V8 compiles
  const all: Round[] = [];
  while (all.length < rounds) all.push(await round(device));
  const middle = (value: (each: Round) => number): number => median(all.map(value));
  return [
    {
      what: `workload sign, ${several} connections`,
      measured: `${middle(({ http }) => http.perSecond).toFixed(0)}/s`,
      floor: `Sign through the bus ${middle(({ bus }) => bus.perSecond).toFixed(0)}/s`,
      ratio: middle(({ http, bus }) => http.perSecond / bus.perSecond),
      wanted: '>= 0.35, >= 1200/s',
    },
    {
      what: 'workload sign, one connection: p50',
      measured: `${(middle(({ httpAlone }) => httpAlone.p50) / 1000).toFixed(2)} ms`,
      floor: `Sign ${(middle(({ busAlone }) => busAlone.p50) / 1000).toFixed(2)} ms`,
      ratio: middle(({ httpAlone, busAlone }) => httpAlone.p50 / busAlone.p50),
      wanted: '< 3 ms',
    },
    {
      what: `CPU of the runtime for a sign, ${several} connections`,
      measured: `${middle(({ cpu }) => cpu).toFixed(0)} µs`,
      floor: '',
    },
    await fairShare(device),
  ];
}

/** Two modules with as many connections as they can use beside a third one with many more. */
async function fairShare(device: BenchDevice): Promise<Result> {
  const names = ['one', 'two', 'flood'];
  for (const name of names) await device.run(name);
  const loads = names.map((name) =>
    loadProcess(signing(device, name, name === 'flood' ? 64 : several)),
  );
  const [one = Number.NaN, two = Number.NaN, flood = Number.NaN] = (await Promise.all(loads)).map(
    ({ perSecond }) => perSecond,
  );
  for (const name of names) await device.delete(name);
  const share = (one + two + flood) / names.length;
  return {
    what: `workload sign of two modules with ${several} connections beside one with 64`,
    measured: `${one.toFixed(0)}/s and ${two.toFixed(0)}/s, the third ${flood.toFixed(0)}/s`,
    floor: `a third of all: ${share.toFixed(0)}/s`,
    ratio: Math.min(one, two) / share,
    wanted: '>= 0.80',
  };
}

/** A load by a process of its own. */
async function loadProcess(each: Load): Promise<Pace> {
  const words = [script, JSON.stringify(each), String(floodMs)];
  const { stdout } = await promisify(execFile)(process.execPath, words, { timeout: 60_000 });
  return JSON.parse(stdout) as Pace; // printed by the script
}
