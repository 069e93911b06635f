import { type ChildProcess, execFile } from 'node:child_process';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { type BusKind, PrivateBus } from '../../support/rig/private-bus.ts';
import { hostileCalls } from '../../support/wire/hostile-messages.ts';
import { encodeRaw } from '../../support/wire/raw-connection.ts';
import { waitForName } from '../echo.ts';
import { compile } from '../native.ts';
import { background, peakRss, resetPeakRss, rss } from '../processes.ts';
import { median, type Result } from '../result.ts';

const run = promisify(execFile);
const script = fileURLToPath(new URL('../echo-service.js', import.meta.url));

const connections = 40;
/** The latency of another caller varies from one flood to the next: the median is the result. */
const rounds = 3;
const seconds = 10;
const warmUpSeconds = 3;
/** `daemon` and `nobody`: dbus-daemon refuses a uid without a name. */
const floodUid = 1;
const probeUid = 65_534;
const path = '/org/iotedge/Echo1';

/** The latency of calls of another uid, in microseconds. */
interface Latency {
  readonly median: number;
  readonly p99: number;
}

interface Outcome extends Latency {
  readonly messages: number;
  /** The growth of the service after a warm-up of the same kind. */
  readonly grownMiB: number;
}

interface Pair {
  readonly ours: Outcome;
  readonly floor: Outcome;
}

/** A service under a flood, and a caller with another uid. */
class Flood {
  readonly #bus: PrivateBus;
  readonly #program: string;

  constructor(bus: PrivateBus, program: string) {
    this.#bus = bus;
    this.#program = program;
  }

  async measure(file: string, name: string, service: ChildProcess): Promise<Outcome> {
    const { pid = 0 } = service;
    await waitForName(this.#bus.address, name);
    await this.#send(file, warmUpSeconds);
    const before = await rss(pid);
    await resetPeakRss(pid);
    const [messages, probed] = await Promise.all([
      this.#send(file, seconds),
      this.#as(probeUid, ['probe', this.#bus.address, name, String(seconds)]),
    ]);
    if (service.exitCode !== null) throw new Error(`${name} did not survive`);
    const [middle = 0, p99 = 0] = probed.split(' ').map(Number);
    return { median: middle, p99, messages, grownMiB: (await peakRss(pid)) - before };
  }

  async #send(file: string, duration: number): Promise<number> {
    const args = [this.#bus.socket, String(connections), String(duration), file];
    const [messages = 0] = (await this.#as(floodUid, args)).split(' ').map(Number);
    return messages;
  }

  async #as(uid: number, args: readonly string[]): Promise<string> {
    const identity = [`--reuid=${uid}`, `--regid=${uid}`, '--clear-groups'];
    const { stdout } = await run('setpriv', [...identity, this.#program, ...args]);
    return stdout;
  }
}

/** Every hostile call against our dispatcher and against sd-bus, on one bus. */
async function floodsOn(kind: BusKind, only: string | undefined): Promise<readonly Result[]> {
  await using bus = await PrivateBus.start(undefined, kind);
  const program = await compile('flood', bus.directory);
  const flood = new Flood(bus, program);
  const results: Result[] = [];
  for (const [what] of hostileCalls('a.b', path)) {
    if (only !== undefined && what !== only) continue;
    const outcome = async (name: string, service: ChildProcess & Disposable): Promise<Outcome> => {
      using _ = service;
      const message = hostileCalls(name, path).get(what) ?? { type: 1 };
      const file = join(bus.directory, 'message');
      await writeFile(file, encodeRaw(message, 1));
      return await flood.measure(file, name, service);
    };
    const pairs: Pair[] = [];
    while (pairs.length < rounds) {
      const floorName = 'org.iotedge.Floor1';
      const floorArgs = ['serve', bus.address, floorName];
      const floor = await outcome(floorName, background(program, floorArgs));
      const oursArgs = [script, bus.address];
      const ours = await outcome('org.iotedge.Echo1', background(process.execPath, oursArgs));
      pairs.push({ ours, floor });
    }
    results.push(resultOf(`${what}, ${kind}`, pairs));
  }
  return results;
}

function resultOf(what: string, pairs: readonly Pair[]): Result {
  const text = (outcomes: readonly Outcome[]): string => {
    const p99 = median(outcomes.map((outcome) => outcome.p99)) / 1000;
    const middle = median(outcomes.map((outcome) => outcome.median)) / 1000;
    const sent = median(outcomes.map(({ messages }) => messages));
    return `${p99.toFixed(1)} ms (median ${middle.toFixed(1)}, ${sent} sent)`;
  };
  const grown = Math.max(...pairs.map(({ ours }) => ours.grownMiB));
  return {
    what,
    measured: `${text(pairs.map(({ ours }) => ours))}, ${grown.toFixed(0)} MiB more`,
    floor: text(pairs.map(({ floor }) => floor)),
    ratio: median(pairs.map(({ ours }) => ours.p99)) / median(pairs.map(({ floor }) => floor.p99)),
    wanted: '<= 3.00, <= 32 MiB more',
  };
}

/** The 99th percentile of the latency of another uid during a flood of 4 MB messages, against sd-bus in C. */
export async function floods(only?: string): Promise<readonly Result[]> {
  return [...(await floodsOn('dbus-daemon', only)), ...(await floodsOn('dbus-broker', only))];
}
