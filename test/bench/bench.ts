import { setTimeout as delay } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { Bus } from '../../src/dbus/bus.ts';
import { PrivateBus } from '../support/private-bus.ts';
import { background, callRate, compileClient, median } from './processes.ts';

const sources = fileURLToPath(new URL('../../../test/bench', import.meta.url));
const rounds = 7;
const callsPerRound = 20_000;
const inFlight = 8;

/** One line of the table: what was measured against which floor, and the ratio to keep. */
interface Result {
  readonly what: string;
  readonly measured: string;
  readonly floor: string;
  readonly ratio: number;
  readonly wanted: string;
}

async function waitForName(address: string, name: string): Promise<void> {
  await using bus = await Bus.connect(address);
  for (let attempt = 0; attempt < 100; attempt++) {
    if ((await bus.nameOwner(name)) !== undefined) return;
    await delay(50);
  }
  throw new Error(`${name} did not appear within 5 s`);
}

/** Echo of 32 bytes through our dispatcher and through sd-bus, in turns on the same bus. */
async function benchEcho(): Promise<Result> {
  await using bus = await PrivateBus.start();
  const address = `unix:path=${bus.socket}`;
  const client = await compileClient(bus.directory, sources);
  const place = (name: string): string[] => [
    address,
    name,
    '/org/iotedge/Echo1',
    'org.iotedge.Echo1',
  ];
  const script = fileURLToPath(new URL('echo-service.js', import.meta.url));
  using _ours = background(process.execPath, [script, address]);
  using _floor = background(client, [...place('org.iotedge.EchoFloor'), 'serve']);
  await waitForName(address, 'org.iotedge.Echo1');
  await waitForName(address, 'org.iotedge.EchoFloor');
  const rateOf = (name: string): Promise<number> =>
    callRate(client, [...place(name), 'echo', '-', String(callsPerRound), String(inFlight)]);
  await rateOf('org.iotedge.Echo1'); // compiled by V8 before it counts
  const pairs: { readonly ours: number; readonly floor: number }[] = [];
  for (let round = 0; round < rounds; round++) {
    pairs.push({
      floor: await rateOf('org.iotedge.EchoFloor'),
      ours: await rateOf('org.iotedge.Echo1'),
    });
  }
  return {
    what: `echo, ${inFlight} in flight`,
    measured: `${median(pairs.map(({ ours }) => ours)).toFixed(0)}/s`,
    floor: `${median(pairs.map(({ floor }) => floor)).toFixed(0)}/s sd-bus in C`,
    ratio: median(pairs.map(({ ours, floor }) => ours / floor)),
    wanted: '>= 0.70',
  };
}

async function main(): Promise<void> {
  console.table([await benchEcho()]);
}

void main();
