/** Damaged records of certificates: reported by name, and never replaced silently. */
import { chmod, chown, readFile, stat, truncate, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import type { Bus } from '../../../src/dbus/bus.ts';
import { type Client, client } from '../../../src/dbus/client/client.ts';
import { isServiceError } from '../../../src/errors.ts';
import {
  certificatesInterface,
  certificatesService,
} from '../../../src/interfaces/certificates.ts';
import { busctlProperty } from '../../support/clients/busctl.ts';
import { until } from '../../support/deadline.ts';
import { failureOf } from '../../support/failure.ts';
import { Rig } from '../../support/rig/rig.ts';
import { SmallDisk } from '../../support/system/small-disk.ts';

interface Setting {
  rig: Rig;
  bus: Bus;
  certificates: Client<typeof certificatesInterface>;
  data: Buffer;
}

const damages: readonly (readonly [string, (file: string) => Promise<void>])[] = [
  ['is empty', (file) => truncate(file)],
  ['is truncated', (file) => truncate(file, 100)],
  ['is other JSON', (file) => writeFile(file, '[{"version":1}]')],
  ['is of a later version', (file) => writeFile(file, '{"version":3,"key_id":"","chain_pem":""}')],
  ['is unreadable for the service', (file) => chmod(file, 0)],
  [
    'belongs to root',
    async (file) => {
      await chown(file, 0, 0);
      await chmod(file, 0o600);
    },
  ],
];

const test = suite<Setting>('a damaged record of a certificate');

test.before(async (context) => {
  context.rig = await Rig.start();
  context.bus = await context.rig.connect();
  context.certificates = client(context.bus, certificatesService, certificatesInterface);
  context.data = Buffer.from(await context.rig.authority.certificate());
  await context.certificates.ImportCertificate({
    certificate_id: 'site',
    data: context.data,
    format: 'pem',
  });
});
test.after(async ({ rig, bus }) => {
  await bus.close();
  await rig[Symbol.asyncDispose]();
});

for (const [what, damage] of damages) {
  test(`that ${what} does not affect the rest`, async ({ rig, certificates, data }) => {
    const file = join(rig.stateDirectory('certificates'), 'certificates', 'site.json');
    const id = { certificate_id: 'site' };
    await rig.stop('certificates');
    await damage(file);
    const left = await readFile(file);
    assert.is(await busctlProperty(rig, 'certificates', 'Health'), 'degraded');
    assert.match(String(await busctlProperty(rig, 'certificates', 'LastError')), `"site": `);
    const error: unknown = await certificates.GetCertificate(id).catch((reason: unknown) => reason);
    assert.ok(isServiceError(error, 'Unavailable'));
    assert.match(error.message, /the certificate "site" cannot be used: .*site\.json/);
    assert.is(
      await failureOf(certificates.ExportCertificate({ ...id, format: 'pem' })),
      'Unavailable',
    );
    const import_ = { ...id, data, format: 'pem' };
    assert.is(await failureOf(certificates.ImportCertificate(import_)), 'AlreadyExists');
    await certificates.GetCertificate({ certificate_id: 'device-ca' });
    assert.match((await certificates.Describe({})).json, '"State":"damaged"');
    assert.equal(await readFile(file), left);
    await certificates.ImportCertificate({ ...import_, options: { if_exists: 'replace' } });
    assert.is(await busctlProperty(rig, 'certificates', 'LastError'), '');
    await rig.stop('certificates');
    assert.is((await certificates.GetCertificate(id)).certificate.chain_pem, data.toString());
  });
}

test('whose directory belongs to root does not affect preloaded certificates', async ({
  rig,
  certificates,
  data,
}) => {
  const directory = join(rig.stateDirectory('certificates'), 'certificates');
  const { uid } = await stat(directory);
  await rig.stop('certificates');
  await chown(directory, 0, 0);
  assert.is(await busctlProperty(rig, 'certificates', 'Health'), 'degraded');
  const lastError = String(await busctlProperty(rig, 'certificates', 'LastError'));
  assert.match(lastError, `${directory} `);
  assert.match(lastError, 'uid 0');
  assert.match(lastError, `uid ${uid}`);
  for (const certificate_id of ['site', 'absent']) {
    assert.is(await failureOf(certificates.GetCertificate({ certificate_id })), 'Unavailable');
    const request = { certificate_id, data, format: 'pem', options: { if_exists: 'replace' } };
    assert.is(await failureOf(certificates.ImportCertificate(request)), 'Unavailable');
    assert.is(await failureOf(certificates.DeleteCertificate({ certificate_id })), 'Unavailable');
  }
  await certificates.GetCertificate({ certificate_id: 'device-ca' });
  await chown(directory, uid, uid);
  await rig.stop('certificates');
  await certificates.GetCertificate({ certificate_id: 'site' });
  assert.is(await busctlProperty(rig, 'certificates', 'LastError'), '');
});

test('can be deleted on a full disk, which Health reports', async ({ rig, certificates, data }) => {
  const directory = rig.stateDirectory('certificates');
  await rig.stop('certificates');
  const disk = await SmallDisk.mount(rig, directory);
  const health = (wanted: string) =>
    until(20_000, `Health to be ${wanted}`, async () => {
      return (await busctlProperty(rig, 'certificates', 'Health')) === wanted;
    });
  try {
    await certificates.GetCertificate({ certificate_id: 'site' });
    await disk.fill();
    const request = { certificate_id: 'more', data, format: 'pem' };
    assert.is(await failureOf(certificates.ImportCertificate(request)), 'Unavailable');
    await health('degraded');
    assert.match(String(await busctlProperty(rig, 'certificates', 'LastError')), directory);
    await certificates.DeleteCertificate({ certificate_id: 'site' });
    await disk.empty();
    await certificates.ImportCertificate(request);
    await health('ok');
  } finally {
    await rig.stop('certificates');
    await disk[Symbol.asyncDispose]();
  }
});

test('can be deleted, though the service cannot read it', async ({ rig, certificates, data }) => {
  const file = join(rig.stateDirectory('certificates'), 'certificates', 'site.json');
  const id = { certificate_id: 'site' };
  for (const damage of [
    () => truncate(file),
    () => chmod(file, 0),
    () => writeFile(file, '{"version":2}'),
  ]) {
    await certificates.ImportCertificate({
      ...id,
      data,
      format: 'pem',
      options: { if_exists: 'replace' },
    });
    await rig.stop('certificates');
    await damage();
    assert.is(await failureOf(certificates.GetCertificate(id)), 'Unavailable');
    await certificates.DeleteCertificate(id);
    assert.is(await failureOf(certificates.GetCertificate(id)), 'NotFound');
    assert.is(await busctlProperty(rig, 'certificates', 'Health'), 'ok');
  }
});

test.run();
