// Runs the provider, TLS and the services on every supported Node, with addons that are built once.
// usage: node test/nodes/run.mjs [--built] [MAJOR...]
//   --built  neither set-up nor build
//   MAJOR    only these versions, of 20 22 24 26
import { existsSync, mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { root, runMain, setUp } from '../../src/build/setup.mjs';
import { run } from '../../src/build/steps/command.mjs';
import { summaryOf } from '../support/suite-summary.mjs';

const supported = ['20', '22', '24', '26'];
/** Launchers and their caches, the provider in a process, TLS with every key to both servers, the TLS thread, addresses, the services with a token, HTTP for modules. */
const files = [
  'component/launcher/launcher',
  'component/launcher/cache-maker',
  'integration/native/process',
  'integration/tls/matrix',
  'integration/tls/https-client',
  'integration/tls/tls-thread',
  'integration/tls/addresses',
  'integration/tls/tcp-connect',
  'integration/keys/service',
  'integration/device',
  'component/modules/api/http/requests',
  'component/modules/api/http/connections',
  'integration/modules/api/http-clients',
];
const deadlineMs = 300_000;
const arch = { arm: 'armv7l' }[process.arch] ?? process.arch;

/** A Node of this major version, installed once; the package `node` would fetch it by an install script. */
async function install(major) {
  const directory = join(root, 'node_modules/.cache/nodes', major);
  const name = `node-linux-${arch}`;
  const program = join(directory, 'node_modules', name, 'bin/node');
  if (existsSync(program)) return program;
  mkdirSync(directory, { recursive: true });
  const options = ['--prefix', directory, '--no-save', '--no-audit', '--no-fund'];
  await run('npm', ['install', ...options, `${name}@${major}`]);
  return program;
}

/** The counts of a test file on a Node. */
async function runFile(program, file) {
  const args = ['--enable-source-maps', join(root, 'dist/test', `${file}.test.js`)];
  const options = { cwd: root, check: false, timeout: deadlineMs, killSignal: 'SIGKILL' };
  const { code, output } = await run(program, args, options);
  const { total, passed } = summaryOf(output);
  const failed = code === 0 && total > 0 ? total - passed : Math.max(1, total - passed);
  console.log(`${failed === 0 ? 'ok  ' : 'FAIL'} ${file} (${passed} passed)`);
  if (failed > 0) console.log(output);
  return { passed, failed };
}

async function runVersion(major) {
  const program = await install(major);
  const version = await run(program, [
    '-p',
    '`Node ${process.version}, OpenSSL ${process.versions.openssl}`',
  ]);
  console.log(`\n${version.stdout.trim()}`);
  const results = [];
  for (const file of files) results.push(await runFile(program, file));
  return results;
}

runMain(async () => {
  const args = process.argv.slice(2);
  const chosen = args.filter((arg) => arg !== '--built');
  const unknown = chosen.find((major) => !supported.includes(major));
  if (unknown !== undefined) throw new Error(`${unknown} is none of ${supported.join(', ')}`);
  if (!args.includes('--built')) await setUp();
  const results = [];
  for (const major of chosen.length > 0 ? chosen : supported)
    results.push(...(await runVersion(major)));
  const sum = (key) => results.reduce((total, result) => total + result[key], 0);
  console.log(`\n${sum('passed')} passed, ${sum('failed')} failed`);
  if (sum('failed') > 0) process.exitCode = 1;
});
