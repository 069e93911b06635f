/** The provisioning service issues the certificate of the device. */
import { X509Certificate } from 'node:crypto';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import type { Bus } from '../../../src/dbus/bus.ts';
import { client } from '../../../src/dbus/client/client.ts';
import {
  certificatesInterface,
  certificatesService,
} from '../../../src/interfaces/certificates.ts';
import { identityInterface, identityService } from '../../../src/interfaces/identity.ts';
import type { Cloud } from '../../support/cloud/cloud.ts';
import { DeviceIssuer } from '../../support/cloud/device-issuer.ts';
import type { Enrollment } from '../../support/cloud/provisioning.ts';
import { until } from '../../support/deadline.ts';
import { Rig } from '../../support/rig/rig.ts';
import { cloudSettings, startRigCloud } from '../../support/rig/rig-cloud.ts';
import { deviceName } from '../../support/rig/rig-config.ts';

interface Context {
  rig: Rig;
  bus: Bus;
  cloud: Cloud;
  issuer: DeviceIssuer;
  /** The certificates of the requests to each service, as SHA-256. */
  seen: { hub: Set<string>; dps: Set<string> };
}

const test = suite<Context>('a certificate issued by the provisioning service');
const certificate_id = 'iotedge/device-identity';
const apiVersions = ['2021-11-01-preview', '2025-07-01-preview'] as const;

test.before(async (context) => {
  const rig = await Rig.start();
  const issuer = new DeviceIssuer();
  const enrollment: Enrollment = {
    deviceId: deviceName,
    issue: (csr, id) => issuer.issue(csr, id),
  };
  const cloud = await startRigCloud(rig, {
    clientRoots: `${await rig.authority.certificate()}${issuer.root}`,
    enrollments: new Map([[deviceName, enrollment]]),
  });
  const seen = { hub: new Set<string>(), dps: new Set<string>() };
  cloud.interfere = ({ certificate, path }) => {
    const { thumbprint = '' } = certificate ?? {};
    seen[path[1] === 'registrations' ? 'dps' : 'hub'].add(thumbprint);
    return undefined;
  };
  Object.assign(context, { rig, issuer, cloud, seen, bus: await rig.connect() });
});

test.after(async ({ bus, cloud, issuer, rig }) => {
  await bus[Symbol.asyncDispose]();
  await rig[Symbol.asyncDispose]();
  await cloud[Symbol.asyncDispose]();
  issuer[Symbol.dispose]();
});

async function use({ rig, cloud }: Context, certificate_api_version: string): Promise<void> {
  const { provisioning, cloud: trust } = cloudSettings(rig, cloud);
  const settings = { ...provisioning, certificate_api_version };
  await rig.configure('identity', { provisioning: settings, cloud: trust });
  await rig.stop('identity');
}

const servicesOn = (bus: Bus) => ({
  identity: client(bus, identityService, identityInterface),
  certificates: client(bus, certificatesService, certificatesInterface),
});

const thumbprint = (one: X509Certificate | undefined): string =>
  one?.fingerprint256.replaceAll(':', '').toLowerCase() ?? '';

async function held(bus: Bus): Promise<string> {
  const { certificate } = await servicesOn(bus).certificates.GetCertificate({ certificate_id });
  assert.is(certificate.key_id, `iotedge/certificate/${certificate_id}`);
  return thumbprint(new X509Certificate(certificate.chain_pem));
}

for (const [at, apiVersion] of apiVersions.entries()) {
  test(`is stored, and presented to the hub, by API version ${apiVersion}`, async (context) => {
    const { bus, issuer, seen } = context;
    await use(context, apiVersion);
    const { identity, certificates } = servicesOn(bus);
    const { device } = await identity.Reprovision({});
    assert.equal([device.certificate_id, device.device_id], [certificate_id, deviceName]);
    const current = await held(bus);
    assert.is(current, thumbprint(issuer.issued.at(-1)));
    seen.hub.clear();
    const name = `module-${at}`;
    await identity.CreateModuleIdentity({ module_id: name });
    assert.equal([...seen.hub], [current]);
    const issued = new Set(issuer.issued.map(thumbprint));
    assert.equal(
      [...seen.dps].filter((one) => issued.has(one)),
      [],
      'the device registers with its own',
    );
    const renewal = certificates.Renew({ certificate_id });
    const failure = await renewal.catch((error: unknown) => error);
    assert.match(String(failure), 'its method is external');
  });
}

test('is renewed by another registration when it is due', async (context) => {
  const { bus, issuer, rig } = context;
  const file = join(rig.stateDirectory('identity'), 'device.json');
  const saved = JSON.parse(await readFile(file, 'utf8')) as { renewAt: string };
  const [leaf] = issuer.issued.slice(-1);
  const [from, to] = [leaf?.validFrom, leaf?.validTo].map((text) => Date.parse(text ?? ''));
  const share = (Date.parse(saved.renewAt) - (from ?? 0)) / ((to ?? 0) - (from ?? 0));
  assert.ok(share >= 0.74 && share <= 0.81, String(share));
  const before = await held(bus);
  await rig.stop('identity');
  // as before the service issued one
  const { renewAt: _, ...without } = saved;
  await writeFile(file, JSON.stringify(without));
  await servicesOn(bus).identity.Describe({});
  await until(30_000, 'another certificate', async () => (await held(bus)) !== before);
});

test.run();
