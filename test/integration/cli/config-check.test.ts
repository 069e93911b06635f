/** `config check` and the services accept and refuse the same files, with the same messages. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { chmod, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { iotedgectl } from '../../../src/cli/iotedgectl.ts';
import { deadline } from '../../support/deadline.ts';

const test = suite('config check and the services');

type Service = 'keys' | 'certificates' | 'identity' | 'modules';

const agent = (config: string) => `agent: {config: {image: 'a/b:1', ${config}}}\n`;

const wrong: readonly (readonly [Service, string])[] = [
  ['certificates', "certificates: {a: {dns: ['a b']}}\n"],
  ['certificates', "certificates: {a: {subject: 'XX=1'}}\n"],
  ['certificates', 'certificates: {a: {ip: [300.0.0.1]}}\n'],
  ['certificates', "'preloaded_cert:a b': /a\n"],
  ['modules', agent("createOptions: '{'")],
  ['modules', agent('createOptions: {HostConfg: {}}')],
  ['modules', agent('restart_policy: sometimes')],
  ['modules', "agent: {config: {image: 'a//b'}}\n"],
  ['modules', "server_names: {a: ['b c']}\n"],
  ['modules', "server_names: {'a/b': [c]}\n"],
  ['modules', 'allowed_binds: [/a, /a/b]\n'],
  ['modules', 'allowed_binds: [relative]\n'],
  ['modules', "network: 'a b'\n"],
  ['modules', 'network: {name: a, ipam: {config: [{subnet: 10.0.0.0}]}}\n'],
  ['modules', "hostname: 'a b'\n"],
  ['modules', "listen: {management_uri: 'unix:///a', workload_uri: 'unix:///a'}\n"],
  ['identity', 'principals: {a: {uid: 1}, b: {uid: 1}}\n'],
  ['identity', "principals: {a: {uid: 1, module_id: 'a b'}}\n"],
  ['identity', "cloud: {proxy: 'http://a b'}\n"],
  ['identity', "cloud: {proxy: 'http://a%zz@b'}\n"],
  ['keys', "'preloaded_key:a': 'pkcs11:token=a'\n"],
  ['keys', "pkcs11_base_slot: 'pkcs11:token=a'\n"],
  ['keys', 'grants: [{user: somebody, actions: [a]}]\n'],
  ['keys', 'grants: [{user: iotedge-identity, actions: []}]\n'],
  ['keys', 'authorization: {backend: acl, acl: [{actions: [a]}]}\n'],
  ['keys', 'authorization: {backend: acl, acl: [{user: a, actions: [a], match: {a: 1}}]}\n'],
];

const good: readonly (readonly [Service, string])[] = [
  ['keys', ''],
  ['certificates', "certificates: {'a/*': {dns: [a.example], subject: 'CN=a'}}\n"],
  ['identity', 'principals: {a: {uid: 1}, b: {uid: 2}}\n'],
  ['modules', agent('createOptions: {HostConfig: {}}')],
];

/** The output of a service and of the command for a file, and their exit codes. The service exits before it needs a bus, or there. */
async function judge([service, text]: readonly [Service, string]) {
  const dir = await mkdtemp(join(tmpdir(), 'iotedge-judgement-'));
  try {
    const file = join(dir, `${service}.yaml`);
    await writeFile(file, text);
    await chmod(file, 0o640);
    const program = join(import.meta.dirname, `../../../src/${service}/main.js`);
    const args = [program, '--config-dir', dir, '--state-dir', join(dir, 'state')];
    const env = { ...process.env, DBUS_SYSTEM_BUS_ADDRESS: 'unix:path=/nowhere' };
    const child = spawn(process.execPath, args, { env, stdio: ['ignore', 'ignore', 'pipe'] });
    let journal = '';
    child.stderr.on('data', (chunk) => (journal += String(chunk)));
    await deadline(60_000, once(child, 'close'), 'the service to end');
    const lines: string[] = [];
    const print = (line: string) => void lines.push(line);
    const code = await iotedgectl(['config', 'check', '--config-dir', dir], print, print);
    return { code, lines, service: child.exitCode, journal };
  } finally {
    await rm(dir, { recursive: true });
  }
}

for (const [service, text] of wrong) {
  test(`refuse alike: ${service}.yaml with ${text.trim()}`, async () => {
    const outcome = await judge([service, text]);
    assert.is(outcome.service, 78, outcome.journal);
    assert.is(outcome.code, 78, outcome.lines.join('\n'));
    assert.is(`${outcome.lines.join('\n')}\n`, outcome.journal);
  });
}

for (const [service, text] of good) {
  test(`accept alike: ${service}.yaml with ${text.trim()}`, async () => {
    const outcome = await judge([service, text]);
    assert.is(outcome.service, 1, outcome.journal); // without a bus
    assert.is(outcome.code, 0, outcome.lines.join('\n'));
  });
}

test.run();
