/** The verbs about certificates, with the services. */
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { client } from '../../../src/dbus/client/client.ts';
import { certificatesService } from '../../../src/interfaces/certificates.ts';
import { encodeCertificatesPem } from '../../../src/x509/certificate.ts';
import { Rig } from '../../support/rig/rig.ts';
import type { RigUser } from '../../support/rig/rig-users.ts';
import { makeCa, makeKey } from '../../support/x509/openssl.ts';

const test = suite<{ rig: Rig }>('verbs of iotedgectl about certificates');
const settings = {
  certificates: {
    'root*': { method: 'self_signed', profiles: ['device-ca'], lifetime: '400d' },
    'app/*': { method: 'local_ca', issuer: 'root', profiles: ['server'], dns: ['app.local'] },
    away: { method: 'external' },
  },
};

test.before(async (context) => {
  context.rig = await Rig.start({ settings: { certificates: settings } });
});
test.after(({ rig }) => rig[Symbol.asyncDispose]());

/** The output of a verb. */
function run(rig: Rig, args: readonly string[], user: RigUser = 'operator') {
  return rig.iotedgectl(['certificates', ...args], user);
}

/** The output of a verb that succeeds. */
async function succeed(rig: Rig, args: readonly string[], user?: RigUser): Promise<string> {
  const { code, stdout, stderr } = await run(rig, args, user);
  assert.is(code, 0, stderr);
  return stdout;
}

/** A certificate whose life of a day ends in three hours. */
async function expiring(name: string): Promise<string> {
  const now = new Date(Date.now() - 20 * 3_600_000);
  return encodeCertificatesPem([await makeCa({ name, key: makeKey('ed25519'), now })]);
}

/** Stores a certificate, without the program. */
async function store(rig: Rig, certificate_id: string, pem: string): Promise<void> {
  await using bus = await rig.connect();
  const { busName, path, manager } = certificatesService;
  const certificates = client(bus, { busName, path }, manager);
  const options = { if_exists: 'replace' };
  await certificates.ImportCertificate({
    certificate_id,
    data: Buffer.from(pem),
    format: 'pem',
    options,
  });
}

test('list what is wrong first, and show nothing that moves the cursor', async ({ rig }) => {
  await store(rig, 'zz/hostile', await expiring('CN=a\\1b[2Jb\u202ec'));
  const out = await succeed(rig, ['list']);
  const [problem, empty, headings, first] = out.split('\n');
  assert.is(problem, 'zz/hostile: expires in 2 hours');
  assert.is(empty, '');
  assert.match(headings ?? '', /^CERTIFICATE +STATE +EXPIRES +RENEWAL +LAST ATTEMPT +NEXT ATTEMPT/);
  assert.match(first ?? '', /^zz\/hostile +valid +in 2 hours +- +- +- +CN=a/);
  const shown = await succeed(rig, ['show', 'zz/hostile']);
  assert.match(
    shown,
    /^ +what to do: 'iotedgectl certificates import zz\/hostile FILE --replace'/m,
  );
  for (const text of [out, shown, await succeed(rig, ['show', 'zz/hostile', '--json'])]) {
    for (const control of ['\u001b', '\u202e']) assert.not.match(text, control);
  }
});

test('status names certificates that expire soon', async ({ rig }) => {
  const text = await rig.iotedgectl(['status', '--start'], 'operator');
  assert.match(text.stdout, /^certificate zz\/hostile: expires in 2 hours$/m);
  const json = await rig.iotedgectl(['status', '--json'], 'operator');
  const found = (JSON.parse(json.stdout) as readonly Record<string, unknown>[])[1];
  assert.equal(found?.['concerns'], [
    { id: 'zz/hostile', kind: 'expiring', text: 'expires in 2 hours' },
  ]);
});

test('show the content of a certificate and of its chain', async ({ rig }) => {
  const shown = await succeed(rig, ['show', 'device-ca'], 'alice');
  for (const line of [
    /^ +certificate: device-ca$/m,
    /^ +state: valid$/m,
    /^ +method: none$/m,
    /^ +key id: device-ca$/m,
    /^ +preloaded: yes$/m,
    /^ +not after: \d{4}-\d\d-\d\d \d\d:\d\d UTC \(expires in \d+ \w+\)$/m,
    /^ +basic constraints: CA/m,
    /^ +key usage: .*keyCertSign/m,
    /^ *fingerprint SHA-256: ([0-9A-F]{2}:){31}[0-9A-F]{2}$/m,
    /^CHAIN +SUBJECT +ISSUER +EXPIRES/m,
    /^0 +CN=/m,
  ]) {
    assert.match(shown, line);
  }
  const json = JSON.parse(await succeed(rig, ['show', 'device-ca', '--json'])) as {
    properties: Record<string, unknown>;
    chain: readonly Record<string, unknown>[];
  };
  assert.is(json.properties['KeyId'], 'device-ca');
  assert.match(String(json.chain[0]?.['basicConstraints']), 'CA');
});

test('name what there is when there is no such certificate', async ({ rig }) => {
  for (const verb of ['show']) {
    const { code, stderr } = await run(rig, [verb, 'nosuch']);
    assert.is(code, 1, verb);
    assert.match(stderr, /no certificate "nosuch"; there is: .*device-ca/);
    assert.is((await run(rig, [verb, '../x'])).code, 2, verb);
  }
});

test.run();
