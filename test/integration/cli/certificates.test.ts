/** The verbs about certificates, with the services. */
import { readFile } from 'node:fs/promises';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { client } from '../../../src/dbus/client/client.ts';
import { certificatesService } from '../../../src/interfaces/certificates.ts';
import { encodeCertificatesPem, parseCertificate } from '../../../src/x509/certificate.ts';
import { parseCsr } from '../../../src/x509/csr.ts';
import { formatName } from '../../../src/x509/name.ts';
import { formatAlternativeName } from '../../../src/x509/subject-alternative-name.ts';
import { Rig } from '../../support/rig/rig.ts';
import { programs } from '../../support/rig/rig-services.ts';
import type { RigUser } from '../../support/rig/rig-users.ts';
import { makeCa, makeKey } from '../../support/x509/openssl.ts';

const test = suite<{ rig: Rig }>('verbs of iotedgectl about certificates');
const settings = {
  certificates: {
    'root*': { method: 'self_signed', profiles: ['device-ca'], lifetime: '400d' },
    'app/*': { method: 'local_ca', issuer: 'root', profiles: ['server'], dns: ['app.local'] },
    away: {
      method: 'external',
      subject: 'CN=away,O=Contoso',
      dns: ['away.example'],
      ip: ['192.0.2.1'],
      key_id: 'mail-key',
      key_algorithms: ['ec-p384'],
    },
  },
};

test.before(async (context) => {
  context.rig = await Rig.start({ settings: { certificates: settings } });
});
test.after(({ rig }) => rig[Symbol.asyncDispose]());

/** The output of a verb. */
function run(rig: Rig, args: readonly string[], user: RigUser | 'root' = 'operator') {
  return rig.iotedgectl(['certificates', ...args], user === 'root' ? undefined : user);
}

/** The output of a verb that succeeds. */
async function succeed(
  rig: Rig,
  args: readonly string[],
  user?: RigUser | 'root',
): Promise<string> {
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
  assert.is(text.code, 6);
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

test('request, renew, export and delete a certificate', async ({ rig }) => {
  const missing = await run(rig, ['request', 'app/one']);
  assert.is(missing.code, 4, missing.stderr);
  assert.match(
    missing.stderr,
    /"app\/one" was not issued: .*no certificate "root".*; the service tries again by itself, in /,
  );
  assert.match(await succeed(rig, ['list']), /^app\/one +pending +- +- +failed .* ago +in /m);
  assert.match(await succeed(rig, ['show', 'app/one']), /\n\nthere is nothing to show: /);
  assert.match(
    await succeed(rig, ['request', 'root']),
    /^root: issued by CN=root, expires in 3\d\d days$/m,
  );
  const first = await run(rig, ['request', 'app/one']);
  assert.is(first.code, 0, first.stderr);
  assert.match(first.stdout, /^app\/one: (issued by CN=root, expires|has a certificate already)/);
  assert.match(
    await succeed(rig, ['request', 'app/one']),
    /^app\/one: has a certificate already, which expires in /,
  );
  const before = await succeed(rig, ['export', 'app/one']);
  assert.is(before.split('BEGIN CERTIFICATE').length, 3);
  const renewed = JSON.parse(await succeed(rig, ['renew', 'app/one', '--json'])) as object;
  const listed = JSON.parse(await succeed(rig, ['list', '--json'])) as Record<string, object>;
  assert.equal(renewed, { ...listed['app/one'], SubjectAlternativeNames: ['dns:app.local'] });
  assert.is(Reflect.get(renewed, 'KeyId'), 'iotedge/certificate/app/one@2');
  assert.match(
    await succeed(rig, ['renew', '--same-key', 'app/one']),
    /^app\/one: issued by CN=root/,
  );
  const shown = await succeed(rig, ['show', 'app/one']);
  assert.match(shown, /^ +key id: iotedge\/certificate\/app\/one@2$/m);
  assert.match(shown, /^ *last attempt: \d{4}-.* UTC \(.* ago\)$/m);
  assert.match(shown, /^ +alternative names: dns:app.local$/m);
  assert.is.not(await succeed(rig, ['export', 'app/one']), before);
  const file = `${rig.directory}/app-one.der`;
  await succeed(rig, ['export', 'app/one', '--format', 'der', '--output', file], 'root');
  parseCertificate(await readFile(file), 'it');
  const again = await run(rig, ['export', 'app/one', '-o', file], 'root');
  assert.equal([again.code, again.stderr], [1, `iotedgectl: there is a file ${file}\n`]);
  const unasked = await run(rig, ['delete', 'app/one']);
  assert.is(unasked.code, 2);
  assert.match(unasked.stderr, 'add --yes');
  assert.is(await succeed(rig, ['delete', '--yes', 'app/one']), 'app/one: deleted\n');
  assert.not.match(await succeed(rig, ['list']), 'app/one');
});

test('import a file or the standard input, and never a private key', async ({ rig }) => {
  const pem = await expiring('CN=imported');
  const input = (words: readonly string[], text: string) =>
    rig.run(`${rig.directory}/node`, [`${rig.directory}/${programs}/iotedgectl.cjs`, ...words], {
      user: 'operator',
      input: text,
    });
  const words = ['certificates', 'import', 'imported', '-'];
  const first = await input([...words, '--key-id', 'later'], pem);
  assert.equal([first.code, first.stdout], [0, 'imported: imported\n'], first.stderr);
  assert.match(await succeed(rig, ['show', 'imported']), /^ +key id: later$/m);
  const second = await input(words, pem);
  assert.is(second.code, 1);
  assert.is((await input([...words, '--replace'], pem)).code, 0);
  const key = makeKey('ed25519').export({ format: 'pem', type: 'pkcs8' });
  const secret = await input([...words, '--replace'], `${pem}${String(key)}`);
  assert.is(secret.code, 1);
  assert.match(secret.stderr, /standard input, line \d+, holds a private key; .*pkcs12 -export/);
  assert.not.match(secret.stderr, String(key).split('\n')[1] ?? '');
  const der = await input([...words, '--replace'], 'not a certificate');
  assert.match(der.stderr, 'standard input is neither PEM nor whole DER');
  assert.is((await run(rig, ['import', 'x', '/nowhere'])).code, 2);
});

test('print the trust bundle, and a request for a CA that is reached by mail', async ({ rig }) => {
  const bundle = await succeed(rig, ['trust-bundle'], 'alice');
  assert.match(bundle, 'BEGIN CERTIFICATE');
  assert.is(await succeed(rig, ['trust-bundle', '--id', 'trusted-ca'], 'alice'), bundle);
  const config = ['--config-dir', `${rig.directory}/config`];
  const none = await run(rig, ['csr', 'away', ...config], 'root');
  assert.equal([none.code, none.stdout], [1, '']);
  assert.match(none.stderr, 'no key "mail-key": --create-key creates it');
  const { code, stdout, stderr } = await run(
    rig,
    ['csr', 'away', '--create-key', ...config],
    'root',
  );
  assert.is(code, 0, stderr);
  assert.match(stderr, 'imported with --key-id mail-key');
  assert.match(stderr, "'iotedgectl keys delete mail-key' deletes it");
  const { subject, requested, keyAlgorithm } = parseCsr(Buffer.from(stdout));
  assert.equal([formatName(subject), keyAlgorithm], ['CN=away,O=Contoso', 'ec-p384']);
  const names = requested.alternativeNames.map(formatAlternativeName);
  assert.equal(names, ['dns:away.example', 'ip:192.0.2.1']);
  assert.is((await run(rig, ['csr', 'unruled', ...config], 'root')).code, 1);
});

test('warn of a request for which there is no rule', async ({ rig }) => {
  const config = ['--config-dir', `${rig.directory}/config`];
  const mistyped = await run(rig, ['request', 'ap/one', ...config], 'root');
  assert.match(mistyped.stderr, /^warning: certificates\.yaml .* has no rule for "ap\/one"/m);
  await run(rig, ['delete', 'ap/one', '--yes'], 'root');
  for (const id of ['app/ruled', 'iotedge/workload-ca']) {
    const { stderr } = await run(rig, ['request', id, ...config], 'root');
    assert.not.match(stderr, 'warning', id);
  }
});

test('are refused for a user whom polkit allows nothing, who still sees the state', async ({
  rig,
}) => {
  for (const words of [
    ['request', 'root-2'],
    ['renew', 'device-ca'],
    ['import', 'x', `${rig.directory}/secrets/device-ca.cer`],
    ['delete', 'device-ca', '--yes'],
    ['cancel', 'root'],
  ]) {
    const { code, stderr } = await run(rig, words, 'alice');
    assert.is(code, 3, `${words.join(' ')}: ${stderr}`);
    assert.match(stderr, /^iotedgectl: org\.iotedge\..* is not allowed\nroot may, /);
  }
  await succeed(rig, ['list'], 'alice');
});

test('name what there is when there is no such certificate', async ({ rig }) => {
  for (const verb of ['show', 'renew', 'export', 'delete', 'cancel']) {
    const yes = verb === 'delete' ? ['--yes'] : [];
    const { code, stderr } = await run(rig, [verb, 'nosuch', ...yes]);
    assert.is(code, 1, verb);
    if (verb !== 'cancel') assert.match(stderr, /no certificate "nosuch"; there is: .*device-ca/);
    assert.is((await run(rig, [verb, '../x', ...yes])).code, 2, verb);
  }
});

test.run();
