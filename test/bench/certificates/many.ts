import { setTimeout as sleep } from 'node:timers/promises';
import { client } from '../../../src/dbus/client/client.ts';
import {
  certificatesInterface,
  certificatesService,
} from '../../../src/interfaces/certificates.ts';
import { Rig } from '../../support/rig/rig.ts';
import { makeCa, makeKey } from '../../support/x509/openssl.ts';
import { cpuMicroseconds } from '../processes.ts';
import { median, type Result } from '../result.ts';
import { startedProcess } from '../started-process.ts';

const few = 10;
const many = 1_000;
const idleS = 20;

interface Scale {
  readonly startMs: number;
  readonly describeMs: number;
  readonly idleMs: number;
}

async function fill(rig: Rig, from: number, to: number): Promise<void> {
  await using bus = await rig.connect();
  const certificates = client(bus, certificatesService, certificatesInterface);
  const key = makeKey('ec-p256');
  for (let at = from; at < to; at++) {
    const { der: data } = await makeCa({ name: `CN=bench ${at}`, key });
    await certificates.ImportCertificate({ certificate_id: `bench-${at}`, data, format: 'der' });
  }
}

async function measure(rig: Rig, rounds: number): Promise<Scale> {
  const starts: number[] = [];
  const describes: number[] = [];
  for (let round = 0; round < rounds; round++) {
    await rig.stop('certificates');
    await using bus = await rig.connect();
    const certificates = client(bus, certificatesService, certificatesInterface);
    const startedAt = performance.now();
    await certificates.GetTrustBundle({});
    starts.push(performance.now() - startedAt);
    const askedAt = performance.now();
    await certificates.Describe({});
    describes.push(performance.now() - askedAt);
  }
  const pid = await startedProcess(rig, 'certificates');
  await sleep(10_000);
  const before = await cpuMicroseconds(pid);
  await sleep(idleS * 1000);
  const idleMs = ((await cpuMicroseconds(pid)) - before) / 1000;
  return { startMs: median(starts), describeMs: median(describes), idleMs };
}

/** What grows with the number of certificates. */
export async function manies(rounds: number): Promise<readonly Result[]> {
  await using rig = await Rig.start({ settings: { certificates: { idle_exit_s: 0 } } });
  await fill(rig, 0, few);
  const small = await measure(rig, rounds);
  await fill(rig, few, many);
  const large = await measure(rig, rounds);
  const result = (what: string, key: keyof Scale, wanted: string): Result => ({
    what: `${what}, ${many} certificates`,
    measured: `${large[key].toFixed(1)} ms`,
    floor: `${few} certificates: ${small[key].toFixed(1)} ms`,
    ratio: large[key] / small[key],
    wanted,
  });
  return [
    result('activation to the first reply', 'startMs', '< 2.00'),
    result('Describe', 'describeMs', '< 100 ms'),
    result(`CPU of the service in ${idleS} s without a call`, 'idleMs', '0 ms'),
  ];
}
