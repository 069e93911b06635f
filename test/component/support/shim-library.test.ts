/** The library that misbehaves on command, called by pkcs11js itself: tests of the service rely on what it does. */
import { chmod, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { type Outcome, runCommand } from '../../support/command.ts';
import { SoftToken, userPin } from '../../support/keys/soft-token.ts';
import { ShimLibrary } from '../../support/pkcs11/shim-library.ts';

interface Setting {
  directory: string;
  token: SoftToken;
  first: ShimLibrary;
  second: ShimLibrary;
}

const test = suite<Setting>('shim library');
const root = fileURLToPath(new URL('../../../..', import.meta.url));

test.before(async (context) => {
  context.directory = await mkdtemp(join(tmpdir(), 'iotedge-shims-'));
  await chmod(context.directory, 0o755);
  context.token = await SoftToken.create();
  await context.token.login('--keypairgen', '--key-type', 'EC:prime256v1', '--label', 'key');
  const options = { configuration: join(context.token.directory, 'softhsm2.conf') };
  context.first = await ShimLibrary.create(context.directory, 'first', options);
  context.second = await ShimLibrary.create(context.directory, 'second', options);
});
test.after(async ({ token, directory }) => {
  await token[Symbol.asyncDispose]();
  await rm(directory, { recursive: true });
});
test.before.each(async ({ first, second }) => {
  await first.behave();
  await second.behave();
});

/** Runs a program with a library that is initialized, a session and a private key. */
function use({ directory }: Setting, library: ShimLibrary, program: string): Promise<Outcome> {
  const start = `
    const { PKCS11 } = require('pkcs11js');
    const p = new PKCS11();
    p.load(${JSON.stringify(library.path)});
    const outcome = (what) => { try { return what() ?? 'ok'; } catch (error) { return error.message; } };
    const open = () => p.C_OpenSession(p.C_GetSlotList(true)[0], 6);
    const begin = () => { p.C_Initialize({ flags: 2 }); const s = open(); p.C_Login(s, 1, '${userPin}'); return s; };
    const key = (s) => { p.C_FindObjectsInit(s, [{ type: 0, value: 3 }]); const [k] = p.C_FindObjects(s, 1); p.C_FindObjectsFinal(s); return k; };
    const sign = (s) => { p.C_SignInit(s, { mechanism: 0x1041 }, key(s)); return p.C_Sign(s, Buffer.alloc(32), Buffer.alloc(100)).length; };`;
  return runCommand(process.execPath, ['-e', `${start}\n${program}`], {
    cwd: root,
    env: { PKCS11_SHIM: directory },
    timeoutMs: 3000,
  });
}

const signOnce = 'console.log(sign(begin()));';

test('forwards and counts each call', async (setting) => {
  const { first, second } = setting;
  const before = await second.calls('C_Sign');
  const { stdout, stderr } = await use(setting, first, signOnce);
  assert.is(stdout.toString(), '64\n', stderr);
  assert.ok((await first.calls('C_Sign')) > 0);
  assert.is(await second.calls('C_Sign'), before);
});

test('aborts, and crashes, in a function', async (setting) => {
  for (const [what, signal] of [
    ['abort', 'SIGABRT'],
    ['segfault', 'SIGSEGV'],
  ] as const) {
    await setting.first.misbehave('C_Login', what);
    assert.is((await use(setting, setting.first, signOnce)).code, signal);
  }
  assert.is((await use(setting, setting.second, signOnce)).code, 0);
});

test('hangs, and sleeps', async (setting) => {
  await setting.first.misbehave('C_SignInit', 'hang');
  assert.is((await use(setting, setting.first, signOnce)).code, 'SIGKILL');
  await setting.first.misbehave('C_SignInit', 'sleep 500');
  const startedAt = performance.now();
  assert.is((await use(setting, setting.first, signOnce)).code, 0);
  assert.ok(performance.now() - startedAt > 500);
});

test('returns an error as often as it is told, by all processes together', async (setting) => {
  await setting.first.misbehave('C_OpenSession', `return ${0x30} times 3`);
  const tries = 'p.C_Initialize({ flags: 2 }); for (const _ of [1, 2]) console.log(outcome(open));';
  const outputs = [
    await use(setting, setting.first, tries),
    await use(setting, setting.first, tries),
  ].map(({ stdout }) => stdout.toString().match(/CKR_DEVICE_ERROR|<Buffer/g));
  assert.equal(outputs, [
    ['CKR_DEVICE_ERROR', 'CKR_DEVICE_ERROR'],
    ['CKR_DEVICE_ERROR', '<Buffer'],
  ]);
});

test('returns results that cannot be', async (setting) => {
  const { first } = setting;
  const resultOf = async (name: string, what: string): Promise<string> => {
    await first.behave();
    await first.misbehave(name, what);
    const { code, stdout } = await use(setting, first, signOnce);
    return code === 0 ? stdout.toString().trim() : 'failed';
  };
  // pkcs11js limits it to its buffer
  assert.is(await resultOf('C_Sign', 'garbage'), '100');
  assert.is(await resultOf('C_Sign', 'length 5'), '5');
  for (const name of ['C_Initialize', 'C_GetSlotList', 'C_OpenSession', 'C_Login', 'C_SignInit'])
    assert.is(await resultOf(name, 'garbage'), 'failed', name);
  await first.behave();
  await first.misbehave('C_GetTokenInfo', 'garbage');
  const program = 'begin(); console.log(p.C_GetTokenInfo(p.C_GetSlotList(true)[0]).flags);';
  assert.is((await use(setting, first, program)).stdout.toString(), `${2 ** 32 - 1}\n`);
});

test('writes into a descriptor of the process', async (setting) => {
  await setting.first.misbehave('C_Sign', 'write 1');
  const { stdout } = await use(setting, setting.first, signOnce);
  assert.match(stdout.toString(), /^these bytes .*64\n$/s);
});

test.run();
