import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { BusError } from '../../../../../src/dbus/bus.ts';
import { ServiceError } from '../../../../../src/errors.ts';
import { type CertificateId, parseCertificateId } from '../../../../../src/ids.ts';
import {
  WorkloadCa,
  type WorkloadCaOptions,
} from '../../../../../src/modules/api/workload/workload-ca.ts';
import { verdictOn } from '../../../../../src/modules/api/workload/workload-ca-verdict.ts';
import { type Certificate, encodeCertificatesPem } from '../../../../../src/x509/certificate.ts';
import { until } from '../../../../support/deadline.ts';
import { failureOf } from '../../../../support/failure.ts';
import { recordingLog } from '../../../../support/log.ts';
import { via } from '../../../../support/via.ts';
import { makeCa, makeKey } from '../../../../support/x509/openssl.ts';

const test = suite('workload CA');
const workloadCaId = 'iotedge/workload-ca';
const deviceCaId = parseCertificateId('my-ca');
const key = makeKey('ec-p256');
const dayMs = 86_400_000;

type Chain = readonly [Certificate, ...Certificate[]];

async function device(pathLength?: number): Promise<Chain> {
  return [
    await makeCa({ name: 'CN=device', key, ...(pathLength !== undefined && { pathLength }) }),
  ];
}

/** A workload CA below a device CA, with the chain that the Certificates service stores. */
async function below(deviceCa: Chain): Promise<Chain> {
  const by = { certificate: deviceCa[0], key };
  const ca = await makeCa({
    name: `CN=${workloadCaId}`,
    key: makeKey('ec-p256'),
    by,
    pathLength: 0,
  });
  return [ca, ...deviceCa];
}

const noCertificate = new ServiceError('NotFound', 'no certificate');
const unreachable = new ServiceError('Unavailable', 'not now', {
  cause: new BusError('org.freedesktop.DBus.Error.ServiceUnknown', 'no owner'),
});

type Limited = { readonly timeoutMs?: number };

interface Held {
  [workloadCaId]?: Chain;
  'my-ca'?: Chain;
}

/** A workload CA of certificates that can be replaced, with what it calls, issues and logs. */
function set(
  held: Held,
  changes: Partial<WorkloadCaOptions['certificates']> = {},
  method = 'local_ca',
) {
  const calls: string[] = [];
  const lines: string[] = [];
  const issuers: (string | undefined)[] = [];
  const limits = new Set<number | undefined>();
  const isHeld = (id: string): id is keyof Held => id in held;
  const certificates: unknown = {
    GetCertificate: async ({ certificate_id: id }: { certificate_id: string }) => {
      const chain = isHeld(id) ? held[id] : undefined;
      if (chain === undefined) throw noCertificate;
      return { certificate: { chain_pem: encodeCertificatesPem(chain) } };
    },
    Enroll: async ({ options }: { options: { issuer?: string } }, by: Limited) => {
      limits.add(by.timeoutMs);
      calls.push(`Enroll by ${options.issuer}`);
      if (held['my-ca'] !== undefined) held[workloadCaId] ??= await below(held['my-ca']);
      return {};
    },
    Renew: async (_input: object, by: Limited) => {
      limits.add(by.timeoutMs);
      calls.push('Renew');
      if (held['my-ca'] !== undefined) held[workloadCaId] = await below(held['my-ca']);
      return {};
    },
    ...changes,
  };
  const ca = new WorkloadCa({
    certificates: certificates as WorkloadCaOptions['certificates'], // the methods that are used
    method: () => Promise.resolve(method),
    deviceCa: () => deviceCaId,
    now: () => new Date(),
    log: recordingLog(({ level, message, fields }) => {
      lines.push(`${level}: ${message}: ${String(fields['reason'] ?? '')}`);
    }),
  });
  const issue = (
    fails: (issuer: CertificateId | undefined) => Error | undefined = () => undefined,
  ) =>
    ca.issue(async (issuer) => {
      const failure = fails(issuer);
      if (failure !== undefined) throw failure;
      issuers.push(issuer);
      return 'chain';
    }, via);
  return { ca, calls, lines, issuers, issue, limits };
}

const byDevice = 'certificates of modules issued by the device CA';

test('is ordered once at the start, and issues from then on', async () => {
  const held: Held = { 'my-ca': await device() };
  const { ca, calls, issue, issuers, lines } = set(held);
  await using _ = ca;
  ca.start();
  ca.start();
  await issue();
  await until(10_000, 'its certificate', () => held[workloadCaId] !== undefined);
  await issue();
  assert.equal(issuers, ['my-ca', workloadCaId]);
  assert.equal(calls, ['Enroll by my-ca']);
  assert.equal(lines, []);
});

test('is ordered again by the next request after it was deleted', async () => {
  const held: Held = { 'my-ca': await device() };
  const { ca, calls, issue, issuers } = set(held);
  await using _ = ca;
  ca.start();
  await until(10_000, 'its use', async () => (await issue()) !== '' && issuers.at(-1) !== 'my-ca');
  delete held[workloadCaId];
  await issue();
  assert.is(issuers.at(-1), 'my-ca');
  await until(
    10_000,
    'another one',
    async () => (await issue()) !== '' && issuers.at(-1) !== 'my-ca',
  );
  assert.equal(calls, ['Enroll by my-ca', 'Enroll by my-ca']);
});

test('is replaced when the device CA is another one, also one of the same key and name', async () => {
  const held: Held = { 'my-ca': await device() };
  held[workloadCaId] = await below(await device());
  const { ca, calls, issue, issuers, limits } = set(held);
  await using _ = ca;
  await issue();
  await until(10_000, 'the renewal', () => calls.includes('Renew'));
  await until(10_000, 'its use', async () => (await issue()) !== '' && issuers.at(-1) !== 'my-ca');
  assert.is(issuers[0], 'my-ca');
  assert.equal(calls, ['Enroll by my-ca', 'Renew']);
  assert.equal([...limits], [120_000], 'an EST server may be slow');
});

test('is not ordered below a device CA that allows none, which is logged once', async () => {
  const { ca, calls, issue, issuers, lines } = set({ 'my-ca': await device(0) });
  await using _ = ca;
  ca.start();
  for (let times = 0; times < 3; times++) await issue();
  assert.equal(issuers, ['my-ca', 'my-ca', 'my-ca']);
  assert.equal(calls, []);
  assert.equal(lines, [`info: ${byDevice}: the path length of CN=device allows no CA below it`]);
});

test('whose enrolment fails is logged once, and ordered again only after a while', async () => {
  let attempts = 0;
  const Enroll = () => {
    attempts++;
    return Promise.reject(new ServiceError('Unavailable', 'no token'));
  };
  const { ca, issue, issuers, lines } = set({ 'my-ca': await device() }, { Enroll });
  await using _ = ca;
  ca.start();
  await until(10_000, 'its failure', () => lines.length > 0);
  for (let times = 0; times < 3; times++) await issue();
  assert.equal([attempts, issuers.length], [1, 3]);
  assert.equal(lines, [`warn: ${byDevice}: no token`]);
});

test('that cannot issue leaves it to the device CA, which is logged once', async () => {
  const deviceCa = await device();
  const held = { 'my-ca': deviceCa, [workloadCaId]: await below(deviceCa) };
  const { ca, calls, issue, issuers, lines } = set(held);
  await using _ = ca;
  const fails = (issuer: string | undefined) =>
    issuer === workloadCaId ? new ServiceError('NotFound', 'no key') : undefined;
  for (let times = 0; times < 2; times++) await issue(fails);
  await issue();
  assert.equal(issuers, ['my-ca', 'my-ca', workloadCaId]);
  assert.equal(calls, []);
  const after = 'info: certificates of modules issued by the workload CA: ';
  assert.equal(lines, [`warn: ${byDevice}: no key`, after]);
});

test('waits with the request for a Certificates service that is away', async () => {
  const deviceCa = await device();
  const held = { 'my-ca': deviceCa, [workloadCaId]: await below(deviceCa) };
  const away = set(held, { GetCertificate: () => Promise.reject(unreachable) });
  await using _ = away.ca;
  assert.is(await failureOf(away.issue()), 'Unavailable');
  const leaving = set(held);
  await using __ = leaving.ca;
  const fails = (issuer: string | undefined) => (issuer === workloadCaId ? unreachable : undefined);
  assert.is(await failureOf(leaving.issue(fails)), 'Unavailable');
  assert.equal([...away.issuers, ...leaving.issuers, ...away.lines, ...leaving.lines], []);
});

test('of another issuer than the device CA is used as long as it is valid, and never ordered', async () => {
  const held = { 'my-ca': await device(), [workloadCaId]: await below(await device()) };
  const { ca, calls, issue, issuers } = set(held, {}, 'est');
  await using _ = ca;
  ca.start();
  await issue();
  assert.equal([issuers, calls], [[workloadCaId], []]);
});

test('is judged by its time, its path and its rights', async () => {
  const deviceCa = await device();
  const workloadCa = await below(deviceCa);
  const [good] = workloadCa;
  const now = new Date();
  const leaf = { ...good, basicConstraints: { ca: false } };
  const kindOf = (changes: Partial<Parameters<typeof verdictOn>[0]>): string =>
    verdictOn({ workloadCa, isLocal: true, deviceCa, now, ...changes }).kind;
  const expired = new Date(now.getTime() + 2 * dayMs);
  const cases = [
    [{}, 'workload CA'],
    [{ workloadCa: undefined }, 'workload CA needed'],
    [{ now: expired }, 'workload CA needed'],
    [{ now: new Date(0) }, 'device CA'],
    [{ workloadCa: [leaf, ...deviceCa] as const }, 'workload CA needed'],
    [{ deviceCa: await device() }, 'workload CA needed'],
    [{ deviceCa: await device(0) }, 'device CA'],
    [{ deviceCa: undefined }, 'workload CA'],
    [{ deviceCa: undefined, workloadCa: undefined }, 'device CA'],
    [{ isLocal: false, deviceCa: await device() }, 'workload CA'],
    [{ isLocal: false, now: expired }, 'device CA'],
  ] as const;
  for (const [at, [changes, kind]] of cases.entries()) assert.is(kindOf(changes), kind, String(at));
});

test.run();
