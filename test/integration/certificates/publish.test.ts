/** Published certificates of the real service. */
import { chmod, chown, mkdir, readdir, readFile, readlink, rm, symlink } from 'node:fs/promises';
import { join } from 'node:path';
import { setImmediate } from 'node:timers/promises';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import type { Bus } from '../../../src/dbus/bus.ts';
import { type Client, client } from '../../../src/dbus/client/client.ts';
import {
  certificatesInterface,
  certificatesService,
} from '../../../src/interfaces/certificates.ts';
import { keyPem } from '../../../src/native/provider.ts';
import { parseCertificatesPem } from '../../../src/x509/certificate.ts';
import { busctlProperty } from '../../support/clients/busctl.ts';
import { until } from '../../support/deadline.ts';
import { Rig } from '../../support/rig/rig.ts';
import { rigUsers } from '../../support/rig/rig-users.ts';

interface Setting {
  rig: Rig;
  bus: Bus;
  certificates: Client<typeof certificatesInterface>;
}

const test = suite<Setting>('published certificates');
const waitMs = 20_000;
const id = 'web/one';

const settingsFor = (rig: Rig, publish = true) => ({
  certificates: {
    root: { method: 'self_signed', profiles: ['device-ca'], lifetime: '400d' },
    'web/*': { issuer: 'root', profiles: ['server'], dns: ['web.local'], publish },
  },
  trust_bundle: ['root'],
  publish_dir: publishedIn(rig),
});

const publishedIn = ({ directory }: Rig): string => join(directory, 'published');
const homeIn = (rig: Rig): string => join(publishedIn(rig), 'web+one');

/** Gives the directory to a user. */
async function own(rig: Rig, user: 'iotedge-certificates' | 'root'): Promise<void> {
  const uid = user === 'root' ? 0 : rigUsers[user];
  await chown(publishedIn(rig), uid, uid);
}

/** One look through the link, as a server that opens its directory. */
async function read(rig: Rig) {
  const version = join(homeIn(rig), await readlink(join(homeIn(rig), 'current')));
  const text = (name: string) => readFile(join(version, name), 'utf8');
  return {
    chain: await text('fullchain.pem'),
    key: await text('key.pem'),
    bundle: await text('bundle.pem'),
  };
}

test.before(async (context) => {
  context.rig = await Rig.start();
  await mkdir(publishedIn(context.rig));
  await chmod(publishedIn(context.rig), 0o755);
  await own(context.rig, 'iotedge-certificates');
  await context.rig.configure('certificates', settingsFor(context.rig));
  context.bus = await context.rig.connect();
  context.certificates = client(context.bus, certificatesService, certificatesInterface);
  await context.certificates.Enroll({ certificate_id: 'root' });
  await context.certificates.Enroll({ certificate_id: id });
});
test.after(async ({ bus, rig }) => {
  await bus.close();
  await rig[Symbol.asyncDispose]();
});

test('are what GetCertificate returns, whole at every moment of a renewal', async ({
  certificates,
  rig,
}) => {
  const { pem: bundle } = await certificates.GetTrustBundle({});
  const expected = async () => {
    const { certificate } = await certificates.GetCertificate({ certificate_id: id });
    const [leaf] = parseCertificatesPem(Buffer.from(certificate.chain_pem), 'it');
    assert.ok(leaf !== undefined);
    return {
      chain: certificate.chain_pem,
      key: keyPem(certificate.key_id, leaf.spki),
      bundle,
    };
  };
  const first = await expected();
  assert.equal(await read(rig), first);
  const renewal = certificates.Renew({ certificate_id: id });
  const seen: Awaited<ReturnType<typeof read>>[] = [];
  const state = { isOver: false };
  const reading = (async () => {
    while (!state.isOver) {
      seen.push(await read(rig));
      await setImmediate();
    }
  })();
  await renewal;
  const second = await expected();
  assert.equal(await read(rig), second, 'when Renew returns');
  state.isOver = true;
  await reading;
  assert.is.not(second.key, first.key);
  for (const one of seen) assert.equal(one, one.key === first.key ? first : second);
  assert.ok(
    seen.some(({ key }) => key === first.key),
    'the old one was seen',
  );
  assert.is((await readdir(join(publishedIn(rig), '.staging'))).length, 2, 'the former one stays');
});

test('are there again after a start, and go with the rule and with the certificate', async ({
  certificates,
  rig,
}) => {
  const whole = await read(rig);
  await rig.stop('certificates');
  await rm(join(publishedIn(rig), '.staging'), { recursive: true });
  await rm(homeIn(rig), { recursive: true });
  await symlink('/', homeIn(rig));
  await certificates.GetTrustBundle({});
  const isBack = async (): Promise<boolean> =>
    (await read(rig).catch(() => undefined))?.key === whole.key;
  await until(waitMs, 'the repair', isBack);
  assert.equal(await read(rig), whole);
  await rig.configure('certificates', settingsFor(rig, false));
  assert.is(await rig.reload('certificates'), 'reloaded');
  const isGone = async (): Promise<boolean> =>
    (await readdir(publishedIn(rig))).join() === '.staging' &&
    (await readdir(join(publishedIn(rig), '.staging'))).length === 0;
  await until(waitMs, 'the removal', isGone);
  await rig.configure('certificates', settingsFor(rig));
  assert.is(await rig.reload('certificates'), 'reloaded');
  await until(waitMs, 'the publication', isBack);
  await certificates.DeleteCertificate({ certificate_id: id });
  assert.ok(await isGone(), 'when DeleteCertificate returns');
});

test('fail without the enrolment, are reported, and are retried', async ({ certificates, rig }) => {
  await own(rig, 'root');
  await certificates.Enroll({ certificate_id: id });
  const lastError = async () => String(await busctlProperty(rig, 'certificates', 'LastError'));
  await until(waitMs, 'the report', async () =>
    /publish_dir .* belongs to uid 0/.test(await lastError()),
  );
  await own(rig, 'iotedge-certificates');
  await certificates.Renew({ certificate_id: id });
  const { certificate } = await certificates.GetCertificate({ certificate_id: id });
  assert.is((await read(rig)).chain, certificate.chain_pem);
  await until(waitMs, 'good health', async () => !(await lastError()).includes('publish_dir'));
});

test.run();
