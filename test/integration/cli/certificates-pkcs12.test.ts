/** PKCS#12 in the verbs about certificates, with the services. */
import { execFileSync } from 'node:child_process';
import { createPrivateKey } from 'node:crypto';
import { readFile, stat, writeFile } from 'node:fs/promises';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { encodeCertificatesPem } from '../../../src/x509/certificate.ts';
import { Rig } from '../../support/rig/rig.ts';
import { operatorsMayDoEverything } from '../../support/rig/rig-polkit.ts';
import { programs } from '../../support/rig/rig-services.ts';
import { makeCa, makeKey } from '../../support/x509/openssl.ts';

const test = suite<{ rig: Rig }>('PKCS#12 in iotedgectl');
const timeout = 20_000;
const rules = `polkit.addRule(function (action, subject) {
  if (action.lookup("certificate_id") === "refused") return polkit.Result.NO;
});
${operatorsMayDoEverything}`;

test.before(async (context) => {
  context.rig = await Rig.start({ rules });
});
test.after(({ rig }) => rig[Symbol.asyncDispose]());

function run(rig: Rig, args: readonly string[], input = '') {
  const program = `${rig.directory}/${programs}/iotedgectl.cjs`;
  return rig.run(`${rig.directory}/node`, [program, 'certificates', ...args], {
    user: 'operator',
    input,
  });
}

/** Writes a file of a new key with its certificate. */
async function newFile(rig: Rig, name: string, secret: string) {
  const key = makeKey('ec-p256');
  const certificate = encodeCertificatesPem([await makeCa({ name: `CN=${name}`, key })]);
  const pem = `${rig.directory}/${name}.pem`;
  const file = `${rig.directory}/${name}.p12`;
  await writeFile(pem, `${String(key.export({ format: 'pem', type: 'pkcs8' }))}${certificate}`);
  const args = ['pkcs12', '-export', '-in', pem, '-passout', `pass:${secret}`, '-out', file];
  execFileSync('openssl', args, { timeout, stdio: 'pipe' });
  return { file, key, data: await readFile(file) };
}

async function keysOf(rig: Rig): Promise<string> {
  return (await rig.iotedgectl(['keys', 'list'], 'operator')).stdout;
}

test('is taken apart by an import, whose key is used and is not exported', async ({ rig }) => {
  const { file, key } = await newFile(rig, 'fixed', 'secret');
  await rig.run('chmod', ['644', file]);
  const words = ['import', 'fixed', file, '--password-file', '-'];
  const wrong = await run(rig, words, 'other\n');
  assert.is(wrong.code, 1);
  assert.match(wrong.stderr, 'the password is wrong, or the file is damaged');
  assert.not.match(await keysOf(rig), 'fixed');
  const { code, stdout, stderr } = await run(rig, words, 'secret\n');
  assert.equal([code, stdout], [0, 'fixed: imported\n'], stderr);
  const shown = await run(rig, ['show', 'fixed']);
  assert.match(shown.stdout, /^ +key id: iotedge\/certificate\/fixed$/m);
  const sign = ['org.iotedge.Keys1', '/org/iotedge/Keys1', 'org.iotedge.Keys1', 'Sign'];
  const signed = await rig.busctl(
    ['call', ...sign, 'ssaya{sv}', 'iotedge/certificate/fixed', 'ecdsa-sha256', '1', '1', '0'],
    'operator',
  );
  assert.is(signed.code, 0, signed.stderr);
  const again = await run(rig, words, 'secret\n');
  assert.match(again.stderr, 'there is a certificate "fixed": add --replace');
  const kept = await run(rig, [...words, '--replace'], 'secret\n');
  assert.is(kept.code, 1);
  assert.match(kept.stderr, '--replace-key, which deletes it');
  const replaced = await run(rig, [...words, '--replace', '--replace-key'], 'secret\n');
  assert.is(replaced.code, 0, replaced.stderr);
  const target = `${rig.directory}/out.p12`;
  const out = ['export', 'fixed', '--pkcs12', '--password-file', '-', '-o', target];
  const refused = await run(rig, out, 'x\n');
  assert.is(refused.code, 1);
  assert.match(refused.stderr, 'the key iotedge/certificate/fixed stays here: ');
  assert.is(key.type, 'private');
});

test('is written by an export of an exportable key, for OpenSSL and for no other user', async ({
  rig,
}) => {
  const { file, key } = await newFile(rig, 'open', 'secret');
  await rig.run('chmod', ['644', file]);
  const words = ['import', 'open', file, '--exportable', '--key-id', 'open-key'];
  const done = await run(rig, [...words, '--password-file', '-'], 'secret');
  assert.is(done.code, 0, done.stderr);
  const directory = `${rig.directory}/of-operator`;
  await rig.run('install', ['-d', '-o', 'operator', directory]);
  const target = `${directory}/out.p12`;
  const out = ['export', 'open', '--format', 'pkcs12', '--password-file', '-'];
  assert.is((await run(rig, out, 'new\n')).code, 2, 'not to the standard output by accident');
  const empty = await run(rig, [...out, '-o', target], '\n');
  assert.match(empty.stderr, 'the password is empty');
  const exported = await run(rig, [...out, '-o', target], 'new\n');
  assert.is(exported.code, 0, exported.stderr);
  assert.is((await stat(target)).mode & 0o777, 0o600);
  const args = ['pkcs12', '-in', target, '-passin', 'pass:new', '-nodes'];
  const text = execFileSync('openssl', args, { encoding: 'utf8', timeout, stdio: 'pipe' });
  assert.match(text, /subject=CN ?= ?open/);
  assert.ok(createPrivateKey(text).equals(key));
  const second = await run(rig, [...out, '-o', target], 'new\n');
  assert.match(second.stderr, `there is a file ${target}`);
});

test('leaves its key when it is deleted, says so, and the key is deleted by its own verb', async ({
  rig,
}) => {
  const { file } = await newFile(rig, 'left', 'secret');
  await rig.run('chmod', ['644', file]);
  const words = ['import', 'left', file, '--password-file', '-'];
  assert.is((await run(rig, words, 'secret\n')).code, 0);
  const deleted = await run(rig, ['delete', 'left', '--yes']);
  const id = 'iotedge/certificate/left';
  assert.equal(
    [deleted.code, deleted.stdout, deleted.stderr],
    [
      0,
      'left: deleted\n',
      `its key ${id} stays in the Keys service: 'iotedgectl keys delete ${id}' deletes it\n`,
    ],
  );
  const again = await run(rig, words, 'secret\n');
  assert.is(again.code, 1);
  assert.match(again.stderr, `'iotedgectl keys delete ${id}'`);
  const exportable = await run(rig, [...words, '--replace-key', '--exportable'], 'secret\n');
  assert.is(exportable.code, 1);
  assert.match(exportable.stderr, `the key "${id}" is in a token, which exports none`);
  assert.match(exportable.stderr, `'iotedgectl keys delete ${id}' deletes it first`);
  const keys = (...rest: readonly string[]) => rig.iotedgectl(['keys', ...rest], 'operator');
  assert.is((await keys('delete', id)).code, 2, 'without --yes and a terminal');
  assert.equal((await keys('delete', id, '--yes')).stdout, `${id}: deleted\n`);
  assert.not.match(await keysOf(rig), 'left');
  const none = await keys('delete', id, '--yes');
  assert.is(none.code, 1);
  assert.match(none.stderr, `no key "${id}": 'iotedgectl keys list' shows what there is`);
  assert.is((await keys('delete', '../x', '--yes')).code, 2);
  const preloaded = await keys('delete', 'device-id', '--yes');
  assert.is(preloaded.code, 1, preloaded.stderr);
  const done = await run(rig, [...words, '--exportable'], 'secret\n');
  assert.is(done.code, 0, done.stderr);
});

test('leaves no key behind when its certificate is refused', async ({ rig }) => {
  const { file } = await newFile(rig, 'refused', 'secret');
  await rig.run('chmod', ['644', file]);
  const words = ['import', 'refused', file, '--password-file', '-', '--no-ask-password'];
  const { code, stderr } = await run(rig, words, 'secret\n');
  assert.is(code, 3, stderr);
  assert.not.match(await keysOf(rig), 'refused');
});

test('needs its password from a file or a terminal', async ({ rig }) => {
  const { file } = await newFile(rig, 'asked', 'secret');
  await rig.run('chmod', ['644', file]);
  const none = await rig.run('setsid', [
    '-w',
    `${rig.directory}/node`,
    `${rig.directory}/${programs}/iotedgectl.cjs`,
    'certificates',
    'import',
    'asked',
    file,
  ]);
  assert.is(none.code, 2);
  assert.match(none.stderr, 'there is no terminal to ask for the password at');
  const command = `${rig.directory}/node ${rig.directory}/${programs}/iotedgectl.cjs certificates import asked ${file}`;
  const typed = await rig.run('script', ['-qec', command, '/dev/null'], { input: 'secret\n' });
  assert.is(typed.code, 0, typed.stdout);
  assert.match(typed.stdout, `Password of ${file}: `);
  assert.match(typed.stdout, 'asked: imported');
});

test.run();
