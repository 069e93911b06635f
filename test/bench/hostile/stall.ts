import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { Rig } from '../../support/rig/rig.ts';
import type { Result } from '../result.ts';

const script = fileURLToPath(new URL('never-reads.js', import.meta.url));
const seconds = 120;
const connections = 8;
/** More than can be sent in this time. */
const callsEach = 1_000_000;
const pingEveryMs = 50;
const tryMs = 2000;
/** A ping that takes longer counts as a stall. */
const awayMs = 1000;

interface Stall {
  readonly startedAt: number;
  readonly lengthMs: number;
}

/** Retries until a reply arrives, each time as a new client, which activates the service. */
async function ping(rig: Rig): Promise<void> {
  const name = 'org.iotedge.Keys1';
  const peer = 'org.freedesktop.DBus.Peer';
  const call = { destination: name, path: '/', interface: peer, member: 'Ping' };
  for (;;) {
    await using bus = await rig.connect();
    const replied = await bus.call(call, { timeoutMs: tryMs }).then(
      () => true,
      () => false,
    );
    if (replied) return;
  }
}

/** How often and for how long a local user that never reads its replies blocks the Keys service for other users. */
export async function stalls(): Promise<readonly Result[]> {
  await using rig = await Rig.start({ token: false, settings: { keys: { idle_exit_s: 0 } } });
  await ping(rig);
  const attacker = rig.spawn(
    process.execPath,
    [script, rig.address.replace('unix:path=', ''), String(connections), String(callsEach)],
    { user: 'alice' },
  );
  const began = performance.now();
  const found: Stall[] = [];
  while (performance.now() - began < seconds * 1000) {
    const startedAt = performance.now();
    await ping(rig);
    const lengthMs = performance.now() - startedAt;
    if (lengthMs >= awayMs) found.push({ startedAt: startedAt - began, lengthMs });
    await sleep(pingEveryMs);
  }
  attacker.kill('SIGKILL');
  const longest = Math.max(0, ...found.map(({ lengthMs }) => lengthMs));
  const first = found[0]?.startedAt;
  return [
    {
      what: `Keys away in ${seconds} s with a caller who never reads, dbus-daemon`,
      measured: `${found.length} times, ${(longest / 1000).toFixed(1)} s at most${first === undefined ? '' : `, first after ${(first / 1000).toFixed(1)} s`}`,
      floor: '',
    },
  ];
}
