/** Processes in control groups of the machine call on the host's workload socket. */
import { execFile, execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, openSync } from 'node:fs';
import { chmod, mkdtemp, readFile, rm } from 'node:fs/promises';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { parseModuleName } from '../../../../src/ids.ts';
import { serveSocket } from '../../../../src/modules/api/http/socket.ts';
import { HostWorkload } from '../../../../src/modules/api/workload/host-workload.ts';
import { WorkloadServers } from '../../../../src/modules/api/workload/workload-servers.ts';
import { Callers, type CallingModule } from '../../../../src/modules/callers/callers.ts';
import { instanceCgroups, ownCgroup } from '../../../../src/modules/callers/process-cgroup.ts';
import { Repeats } from '../../../../src/service/log/repeats.ts';
import { deadline, until } from '../../../support/deadline.ts';
import { type LogLine, recordingLog } from '../../../support/log.ts';
import { TestCgroups } from '../../../support/system/cgroup.ts';
import { plainBackend, version } from '../../../support/workload/api.ts';
import { ownLimits } from '../../../support/workload/limits.ts';

interface Context {
  directory: string;
  groups: TestCgroups;
  lines: LogLine[];
  modules: CallingModule[];
  server: HostWorkload;
  /** The name of the socket on which processes call. */
  socket: string;
  stop: (() => Promise<unknown> | void)[];
}

const test = suite<Context>('callers of the host workload socket');
const run = promisify(execFile);
const program = fileURLToPath(
  new URL('../../../../../test/support/workload/host-caller.mjs', import.meta.url),
);
const sign = `POST:/modules/m1/genid/gen%2F1/sign?${version}`;

test.before.each(async (context) => {
  const directory = await mkdtemp(join(tmpdir(), 'host-workload-'));
  const groups = new TestCgroups();
  const lines: LogLine[] = [];
  const log = recordingLog((line) => void lines.push(line));
  const requests = new Repeats({ log });
  const modules: CallingModule[] = [];
  const server = new HostWorkload({
    callers: new Callers(() => modules, ownCgroup()),
    servers: new WorkloadServers({ backend: plainBackend, log, requests }),
    requests,
  });
  const served = await serveSocket({ directory, name: 's', mode: 0o666 }, server, ownLimits());
  const stop = [
    () => served.remove(),
    () => requests[Symbol.dispose](),
    () => rm(directory, { recursive: true }),
  ];
  Object.assign(context, { directory, groups, lines, modules, server, socket: 's', stop });
});

test.after.each(async ({ groups, stop }) => {
  for (const each of stop.toReversed().slice(0, -3)) await each();
  await groups[Symbol.asyncDispose]();
  for (const each of stop.slice(0, 3)) await each();
});

/** Adds a module whose main process is in a group of the test. */
async function addModule({ groups, modules, stop }: Context, name: string, path: string) {
  const words = ['-c', 'echo $$ >"$1" && exec sleep 1000', 'sh', groups.create(path)];
  const child = spawn('sh', words, { stdio: 'ignore' });
  const ended = new Promise((resolve) => child.once('close', resolve));
  stop.push(() => {
    child.kill('SIGKILL');
    return ended;
  });
  const pid = child.pid ?? 0;
  const command = () => readFile(`/proc/${pid}/cmdline`, 'latin1');
  await until(5_000, 'its process', async () => (await command()).startsWith('sleep'));
  modules.push({
    name: parseModuleName(name),
    cgroups: instanceCgroups(pid),
    isStarting: false,
  });
}

/** The responses to requests by a process of a group, of none of the test when its path is empty. */
async function call({ directory, groups, socket }: Context, path: string, ...requests: string[]) {
  const group = path === '' ? '' : groups.create(path);
  const words = [program, group, join(directory, socket), ...requests];
  const { stdout } = await run(process.execPath, words, { timeout: 20_000 });
  const lines = stdout.trim().split('\n');
  return lines.map((line) => JSON.parse(line) as { status: number; json: { digest?: string } });
}

async function statusesOf(context: Context, path: string, ...requests: string[]) {
  return (await call(context, path, ...requests)).map(({ status }) => status);
}

test('are served as the module in whose group they are, or below which', async (context) => {
  await addModule(context, 'm1', 'engine/m1');
  await addModule(context, 'm2', 'engine/m2');
  const other = sign.replace('m1', 'm2');
  const [own, foreign] = await call(context, 'engine/m1', sign, other);
  assert.is(own?.status, 200);
  assert.is(Buffer.from(own?.json.digest ?? '', 'base64').toString(), 'm1 signs \0\0\0');
  assert.is(foreign?.status, 403);
  assert.equal(await statusesOf(context, 'engine/m1/init/x', sign, other), [200, 403]);
  assert.equal(await statusesOf(context, 'engine/m2', sign, other), [403, 200]);
});

test('of no module are refused every request', async (context) => {
  await addModule(context, 'm1', 'engine/m1');
  const paths = ['modules', 'trust-bundle', 'manifest-trust-bundle'].map(
    (path) => `GET:/${path}?${version}`,
  );
  const requests = [sign, ...paths, 'GET:/modules', 'GET:/absent', 'DELETE:/modules'];
  const refused = requests.map(() => 403);
  // a group of the same name elsewhere, a longer name, the group above and none of all these
  for (const path of ['user/engine/m1', 'user/m1', 'engine/m11', 'engine', '']) {
    assert.equal(await statusesOf(context, path, ...requests), refused, path);
  }
  const { lines } = context;
  assert.equal(
    lines.map(({ level, fields }) => [level, fields['uid']]),
    [['info', 0]],
  );
});

test('are refused when their module has ended, and served when another instance runs', async (context) => {
  await addModule(context, 'm1', 'engine/m1');
  const [module] = context.modules;
  context.modules.length = 0;
  assert.equal(await statusesOf(context, 'engine/m1', sign), [403]);
  if (module !== undefined) context.modules.push(module);
  assert.equal(await statusesOf(context, 'engine/m1', sign), [200]);
});

test('are refused when the process that connected has ended before it was looked at', async (context) => {
  await addModule(context, 'm1', 'engine/m1');
  const { directory, groups } = context;
  const report = join(directory, 'report');
  const file = openSync(report, 'w');
  const words = [groups.create('engine/m1'), join(directory, 's'), '--leave'];
  // this process does not accept the connection meanwhile
  execFileSync(process.execPath, [program, ...words, `GET:/trust-bundle?${version}`], {
    stdio: ['ignore', 'ignore', file],
    timeout: 20_000,
  });
  closeSync(file);
  await until(10_000, 'a response', async () => (await readFile(report)).length > 0);
  assert.match(await readFile(report, 'utf8'), /^HTTP\/1\.1 403 /);
});

/** Writes the status of the response to a request. */
const ask = `
  const request = { socketPath: process.argv[1], path: '/modules?${version}', agent: false };
  require('http').get(request, (response) => {
    process.stdout.write(String(response.resume().statusCode));
  });
`;

test('are not refused by the connections of strangers', async (context) => {
  await addModule(context, 'm1', 'engine/m1');
  const { directory, server, stop } = context;
  const limits = ownLimits({ most: 1, maxWaiting: 0 });
  const served = await serveSocket({ directory, name: 'narrow', mode: 0o666 }, server, limits);
  stop.push(() => served.remove());
  const narrow = { ...context, socket: 'narrow' };
  const stranger = connect(join(directory, narrow.socket)).resume();
  stop.push(() => void stranger.destroy());
  await deadline(5_000, once(stranger, 'connect'), 'the connection of a stranger');
  assert.equal(await statusesOf(narrow, 'engine/m1', sign), [200]);
  // as is a user whose module is not recognized yet
  await chmod(directory, 0o711);
  const asked = run(process.execPath, ['-e', ask, join(directory, narrow.socket)], {
    cwd: '/',
    uid: 65534,
    gid: 65534,
    timeout: 20_000,
  });
  assert.is((await asked).stdout, '403');
  // the stranger's connection is still open, and the only one that its user may have
  const further = connect(join(directory, narrow.socket)).resume();
  stop.push(() => void further.destroy());
  await deadline(5_000, once(further, 'close'), 'the end of a further connection');
  assert.not.ok(stranger.closed);
});

test.run();
