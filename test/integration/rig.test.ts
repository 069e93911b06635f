import { spawn } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { appendFile, readdir, readFile } from 'node:fs/promises';
import pkcs11 from 'pkcs11js';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { undeclaredMessage } from '../../src/service/authorization/audit.ts';
import { deadline, until } from '../support/deadline.ts';
import { softhsmLibrary, tokenPin } from '../support/keys/softhsm.ts';
import { Rig } from '../support/rig/rig.ts';
import { rigUsers } from '../support/rig/rig-users.ts';

const test = suite('rig');

/** The processes with a directory on their command line. */
async function processesAbout(directory: string): Promise<readonly string[]> {
  const pids = (await readdir('/proc')).filter((name) => /^\d+$/.test(name));
  const lines = await Promise.all(
    pids.map((pid) => readFile(`/proc/${pid}/cmdline`, 'utf8').catch(() => '')),
  );
  return lines.filter((line) => line.includes(directory));
}

/** The verdict of polkit about a process of a user. */
async function isAllowed(rig: Rig, user: 'alice' | 'operator', action: string): Promise<boolean> {
  const subject = rig.spawn('sleep', ['30'], { user });
  const status = `/proc/${subject.pid}/status`;
  const uid = `Uid:\t${rigUsers[user]}`;
  await until(5000, `sleep to be ${user}`, () => readFileSync(status, 'utf8').includes(uid));
  const check = ['--action-id', action, '--process', String(subject.pid)];
  const { code, stderr } = await rig.run('pkcheck', check);
  subject.kill();
  assert.ok(code === 0 || code === 1 || code === 2, stderr);
  return code === 0;
}

/** The errors of reading the value of each private key of the token. */
function readPrivateValues(): readonly string[] {
  const module = new pkcs11.PKCS11();
  module.load(softhsmLibrary());
  module.C_Initialize();
  try {
    const [slot] = module.C_GetSlotList(true);
    if (slot === undefined) return [];
    const session = module.C_OpenSession(slot, pkcs11.CKF_SERIAL_SESSION);
    module.C_Login(session, pkcs11.CKU_USER, tokenPin);
    module.C_FindObjectsInit(session, [{ type: pkcs11.CKA_CLASS, value: pkcs11.CKO_PRIVATE_KEY }]);
    return module.C_FindObjects(session, 10).map((key) => {
      try {
        module.C_GetAttributeValue(session, key, [{ type: pkcs11.CKA_VALUE }]);
        return 'readable';
      } catch (error) {
        return error instanceof Error ? error.message : '';
      }
    });
  } finally {
    module.C_Finalize();
  }
}

test('has a bus with polkit and the four activatable services', async () => {
  await using rig = await Rig.start({ token: false });
  const { stdout } = await rig.busctl(['list', '--no-legend'], 'alice');
  assert.match(stdout, 'org.freedesktop.PolicyKit1');
  for (const name of ['Keys1', 'Certificates1', 'Identity1', 'Modules1']) {
    assert.match(stdout, `org.iotedge.${name}`);
  }
});

test('does not change the files of the machine', async () => {
  const before = await readFile('/etc/passwd', 'utf8');
  await using rig = await Rig.start({ token: false });
  assert.is((await rig.run('id', ['-u', 'iotedge-keys'])).stdout, '59101\n');
  assert.is(await readFile('/etc/passwd', 'utf8'), before);
  const { stdout } = await rig.run('ls', ['/usr/share/polkit-1/actions']);
  assert.is(stdout.match(/org\.iotedge\..*\.policy/g)?.length, 4);
  assert.not.ok(
    (await readdir('/usr/share/polkit-1/actions')).some((name) => /iotedge/.test(name)),
  );
});

test('is invisible to another rig', async () => {
  await using one = await Rig.start({ token: false });
  await using other = await Rig.start({ token: false, polkit: false });
  assert.is.not(one.address, other.address);
  assert.match((await one.busctl(['list'])).stdout, 'PolicyKit1');
  assert.not.match((await other.busctl(['list'])).stdout, 'PolicyKit1');
});

test('allows everything to operators and nothing to other users, until the rules change', async () => {
  await using rig = await Rig.start({ token: false });
  assert.ok(await isAllowed(rig, 'operator', 'org.iotedge.keys1.sign'));
  assert.not(await isAllowed(rig, 'alice', 'org.iotedge.keys1.sign'));
  await rig.setRules('polkit.addRule(function () { return polkit.Result.YES; });\n');
  assert.ok(await isAllowed(rig, 'alice', 'org.iotedge.keys1.sign'));
});

test('has a token in slot 0 whose private keys cannot be extracted', async () => {
  await using rig = await Rig.start();
  const keys = await rig.token.tool('--list-objects', '--type', 'privkey');
  const access = keys.match(/Access: +sensitive, always sensitive, never extractable, local/g);
  assert.is(access?.length, 2);
  process.env['SOFTHSM2_CONF'] = rig.token.configuration;
  const values = readPrivateValues();
  assert.equal(values, ['CKR_ATTRIBUTE_SENSITIVE', 'CKR_ATTRIBUTE_SENSITIVE']);
});

test('has certificates for the keys in the token', async () => {
  await using rig = await Rig.start({ token: { deviceId: 'EC:secp384r1', deviceCa: 'rsa:2048' } });
  const secrets = `${rig.directory}/secrets`;
  const chain = ['verify', '-CAfile', `${secrets}/trusted-ca.cer`];
  const { code, stdout } = await rig.run('openssl', [
    ...chain,
    `${secrets}/device-id.cer`,
    `${secrets}/device-ca.cer`,
  ]);
  assert.is(code, 0, stdout);
});

test('leaves neither processes nor files when it is disposed of', async () => {
  const rig = await Rig.start();
  const sleeping = `1234.${process.pid}`;
  rig.spawn('setsid', ['-f', 'sleep', sleeping]); // in another session, without a parent
  await until(10_000, sleeping, async () => (await processesAbout(sleeping)).length > 0);
  await rig[Symbol.asyncDispose]();
  assert.not.ok(existsSync(rig.directory));
  assert.equal(await processesAbout(rig.directory), []);
  assert.equal(await processesAbout(sleeping), []);
});

test('fails when a service logged an error that its table does not declare', async () => {
  const rig = await Rig.start({ token: false });
  await appendFile(`${rig.directory}/log/keys.log`, `<3>${undeclaredMessage} code="NotFound"\n`);
  const error: unknown = await rig[Symbol.asyncDispose]().catch((reason: unknown) => reason);
  assert.match(String(error), undeclaredMessage);
  assert.not.ok(existsSync(rig.directory));
});

test('ends when its owner is killed', async () => {
  const script = `import { Rig } from ${JSON.stringify(new URL('../support/rig/rig.js', import.meta.url))};
    const rig = await Rig.start();
    console.log(rig.directory);
    setInterval(() => {}, 1000);`;
  const owner = spawn(process.execPath, ['--input-type=module', '--eval', script], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const line = new Promise<string>((resolve) => {
    owner.stdout.setEncoding('utf8').once('data', resolve);
  });
  const directory = (await deadline(60_000, line, 'the rig')).trim();
  assert.ok(existsSync(directory));
  owner.kill('SIGKILL');
  await until(30_000, 'the rig to be gone', () => !existsSync(directory));
  // the process that removes the directory has it in its own command line
  const none = async (): Promise<boolean> => (await processesAbout(directory)).length === 0;
  await until(10_000, 'its processes to be gone', none);
});

test.run();
