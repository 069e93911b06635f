import { chmod, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Bus } from '../../src/dbus/bus.ts';
import { client } from '../../src/dbus/client/client.ts';
import { keysInterface, keysService } from '../../src/interfaces/keys.ts';
import { ShimLibrary } from '../support/pkcs11/shim-library.ts';
import { Rig } from '../support/rig/rig.ts';
import { rigUsers } from '../support/rig/rig-users.ts';
import { median, type Result } from './result.ts';

const sleepMs = 2000;
const pingEveryMs = 5;

/** Functions of PKCS#11 that the service calls for a signature, and at its start. */
const functions = [
  { name: 'C_SignInit', atStart: false },
  { name: 'C_Sign', atStart: false },
  { name: 'C_Initialize', atStart: true },
  { name: 'C_Login', atStart: true },
  { name: 'C_FindObjectsInit', atStart: true },
] as const;

/** Milliseconds until a reply. */
interface Pings {
  readonly first: number;
  readonly worst: number;
}

/** The Keys service with a PKCS#11 library that sleeps on command. */
class SleepyKeys implements AsyncDisposable {
  readonly #rig: Rig;
  readonly #directory: string;
  readonly #library: ShimLibrary;

  private constructor(rig: Rig, directory: string, library: ShimLibrary) {
    this.#rig = rig;
    this.#directory = directory;
    this.#library = library;
  }

  static async start(): Promise<SleepyKeys> {
    const directory = await mkdtemp(join(tmpdir(), 'iotedge-bench-'));
    await chmod(directory, 0o755);
    const rig = await Rig.start({ environment: { keys: { PKCS11_SHIM: directory } } });
    const library = await ShimLibrary.create(directory, 'first', {
      configuration: rig.token.configuration,
      checkout: `${rig.directory}/checkout`,
      uid: rigUsers['iotedge-keys'],
    });
    await rig.configure('keys', { pkcs11_lib_path: library.path });
    return new SleepyKeys(rig, directory, library);
  }

  /** The first and the longest time until the reply to a Ping, in milliseconds, while a function sleeps, if one is given. */
  async pings(what?: (typeof functions)[number]): Promise<Pings> {
    await this.#library.behave();
    await using bus = await this.#rig.connect();
    if (what?.atStart === true) await this.#rig.stop('keys');
    else await sign(bus);
    if (what !== undefined) await this.#library.misbehave(what.name, `sleep ${sleepMs} times 1`);
    const signed = what?.atStart === false ? sign(bus) : undefined;
    const first = await ping(bus);
    const worst = await worstPing(bus);
    await signed;
    return { first, worst };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#rig[Symbol.asyncDispose]();
    await rm(this.#directory, { recursive: true });
  }
}

async function sign(bus: Bus): Promise<void> {
  const keys = client(bus, keysService, keysInterface);
  const data = Buffer.alloc(32);
  await keys.Sign({ key_id: 'device-id', mechanism: 'ecdsa-sha256', data });
}

/** Returns the milliseconds until the reply. */
async function ping(bus: Bus): Promise<number> {
  const { busName: destination, path } = keysService;
  const sent = performance.now();
  await bus.call({ destination, path, interface: 'org.freedesktop.DBus.Peer', member: 'Ping' });
  return performance.now() - sent;
}

/** Pings for a little longer than the library sleeps. */
async function worstPing(bus: Bus): Promise<number> {
  const began = performance.now();
  let worst = 0;
  while (performance.now() - began < sleepMs + 100) {
    worst = Math.max(worst, await ping(bus));
    await sleep(pingEveryMs);
  }
  return worst;
}

/** How long other callers of Keys wait at most while its PKCS#11 library sleeps. */
export async function pings(rounds = 3): Promise<readonly Result[]> {
  await using keys = await SleepyKeys.start();
  const awake: Pings[] = [];
  const asleep = functions.map((what) => ({ what, all: new Array<Pings>() }));
  while (awake.length < rounds) {
    awake.push(await keys.pings());
    for (const { what, all } of asleep) all.push(await keys.pings(what));
  }
  const floor = median(awake.map(({ worst }) => worst));
  return asleep.map(({ what, all }) => resultOf(what, all, floor));
}

function resultOf(
  { name, atStart }: (typeof functions)[number],
  all: readonly Pings[],
  floor: number,
): Result {
  const first = Math.max(...all.map((pings) => pings.first));
  // the first Ping activates the service, which waits a second for its library
  const worst = Math.max(...all.map((pings) => pings.worst), atStart ? 0 : first);
  return {
    what: `worst Ping of keys while ${name} sleeps ${sleepMs / 1000} s`,
    measured: `${worst.toFixed(1)} ms${atStart ? `, the first ${first.toFixed(0)} ms` : ''}`,
    floor: `${floor.toFixed(1)} ms awake`,
    ratio: worst / floor,
    wanted: `< 50 ms${atStart ? ', the first < 1500 ms' : ''}`,
  };
}
