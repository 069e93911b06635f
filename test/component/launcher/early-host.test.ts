import { mkdir, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import * as assert from 'uvu/assert';
import { outputOf, runCommand } from '../../support/command.ts';
import { Programs } from '../../support/launcher/programs.ts';
import { suite } from '../../support/timed-suite.ts';

const test = suite('the process for a PKCS#11 library that the launcher of Keys starts');

/** In the place of the service: outputs what the process sends it. */
const service = `
const child = globalThis[Symbol.for('iotedge.pkcs11-host')];
if (child?.pid === undefined) setTimeout(() => console.log('none'), 100);
else child.stdio[3].on('data', (text) => {
  console.log(String(text));
  child.stdio[3].destroy();
});`;

/** In the place of iotedge-pkcs11: sends something, and ends with the connection. */
const host = `
const socket = new (require('node:net').Socket)({ fd: 3 });
socket.write('started ' + process.env.FOR_THE_LIBRARY);
socket.on('end', () => process.exit());
socket.resume();`;

interface Installation extends AsyncDisposable {
  readonly programs: Programs;
  readonly config: string;
  /** What the service outputs that is started with the configuration and more arguments. */
  readonly run: (...args: readonly string[]) => Promise<string>;
}

async function install(): Promise<Installation> {
  const programs = await Programs.copy('iotedge-keys');
  const config = join(programs.directory, 'config');
  await mkdir(join(config, 'keys.d'), { recursive: true });
  await writeFile(programs.bundle('iotedge-keys'), service);
  await writeFile(programs.program('iotedge-pkcs11'), host);
  const run = async (...args: readonly string[]): Promise<string> => {
    const argv = [programs.program('iotedge-keys'), '--config-dir', config, ...args];
    const env = { FOR_THE_LIBRARY: 'with its environment' };
    return (await outputOf(process.execPath, argv, { env, timeoutMs: 10_000 })).toString().trim();
  };
  return { programs, config, run, [Symbol.asyncDispose]: () => programs[Symbol.asyncDispose]() };
}

const started = 'started with its environment';
const library = 'pkcs11_lib_path: /l.so\n';

test('is started when keys.yaml names a library', async () => {
  await using installation = await install();
  const { config, run } = installation;
  assert.is(await run(), 'none');
  await writeFile(join(config, 'keys.yaml'), `log_level: info # of pkcs11\n${library}`);
  assert.is(await run(), started);
  assert.is(await run('--state-dir', '/s'), started);
});

test('is started when a drop-in names a library', async () => {
  await using installation = await install();
  const { config, run } = installation;
  await writeFile(join(config, 'keys.yaml'), 'log_level: info\n');
  await writeFile(join(config, 'keys.d/a.yaml'), 'tokens:\n  - pkcs11_lib_path: /l.so\n');
  assert.is(await run(), started);
});

test('is not started when only comments and other files name one', async () => {
  await using installation = await install();
  const { config, run } = installation;
  await writeFile(join(config, 'keys.yaml'), `#${library}log_level: info # pkcs11\n`);
  await writeFile(join(config, 'modules.yaml'), library);
  await writeFile(join(config, 'keys.d/a.yaml.old'), library);
  await mkdir(join(config, 'keys.d/b.yaml'));
  assert.is(await run(), 'none');
});

test('is not waited for where a pipe is in the place of a file', async () => {
  await using installation = await install();
  await outputOf('mkfifo', [join(installation.config, 'keys.d/a.yaml')]);
  assert.is(await installation.run(), 'none');
});

test('is started for the service alone', async () => {
  await using installation = await install();
  const { programs, config, run } = installation;
  await writeFile(join(config, 'keys.yaml'), library);
  for (const option of ['--help', '--version', '--introspect', '--unknown'])
    assert.is(await run(option), 'none', option);
  await writeFile(programs.program('iotedge-keys'), await otherLauncher());
  assert.is(await run(), 'none');
});

async function otherLauncher(): Promise<Buffer> {
  await using programs = await Programs.copy('iotedge-certificates');
  return readFile(programs.program('iotedge-certificates'));
}

test('is missed by nobody who cannot start it', async () => {
  await using installation = await install();
  const { programs, config, run } = installation;
  await writeFile(join(config, 'keys.yaml'), library);
  const nowhere = ['--import', `data:text/javascript,process.execPath = '/nowhere'`];
  const argv = [...nowhere, programs.program('iotedge-keys'), '--config-dir', config];
  const { code, stdout, stderr } = await runCommand(process.execPath, argv);
  assert.equal([code, stdout.toString(), stderr], [0, 'none\n', '']);
  await rm(programs.program('iotedge-pkcs11'));
  assert.is(await run(), 'none');
});

test.run();
