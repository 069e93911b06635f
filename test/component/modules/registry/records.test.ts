/** Module records, which outlive the process, on a real disk. */

import { chmod, chown, mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { isServiceError } from '../../../../src/errors.ts';
import { parseModuleName } from '../../../../src/ids.ts';
import { createSocketDirectory } from '../../../../src/modules/api/http/socket.ts';
import { parseSettings } from '../../../../src/modules/docker/create-options/create-options.ts';
import { sourceDigest } from '../../../../src/modules/module-source.ts';
import { retired } from '../../../../src/modules/registry/reconfigured.ts';
import { type ModuleRecord, Records } from '../../../../src/modules/registry/records.ts';
import {
  configuredAgent,
  recordOf,
  restoreAgent,
  restoreModules,
} from '../../../../src/modules/registry/restore.ts';
import { RestoreErrors } from '../../../../src/modules/registry/restore-errors.ts';
import { silentLog } from '../../../support/log.ts';

const test = suite<{ directory: string; records: Records }>('module records');
const name = parseModuleName('sensor');

const record: ModuleRecord = {
  name,
  state: {
    goal: 'start',
    operation: { verb: 'Restart', previous: 'stopped', stopTimeoutS: 7 },
    failure: undefined,
  },
  settings: parseSettings({
    image: 'a:1',
    createOptions: { User: 'u' },
    auth: { password: 'p' },
    restart_policy: 'never',
  }),
  env: { A: 'b' },
  elevated: true,
};

test.before.each(async (context) => {
  context.directory = await mkdtemp(join(tmpdir(), 'iotedge-records-'));
  context.records = await Records.open(context.directory);
});

test.after.each(async ({ directory, records }) => {
  records.disk[Symbol.dispose]();
  await rm(directory, { recursive: true, force: true });
});

/** The one file of records. */
async function fileIn(directory: string): Promise<string> {
  const files = await readdir(join(directory, 'modules'));
  const [file = ''] = files.filter((one) => one.endsWith('.json'));
  return join(directory, 'modules', file);
}

/** The records as the next process reads them. */
async function reopened(directory: string): Promise<Records> {
  const records = await Records.open(directory);
  records.disk[Symbol.dispose]();
  return records;
}

/** The records after the one of a module was changed in its file. */
async function changed(directory: string, records: Records, changes: object): Promise<Records> {
  await records.write(record);
  const file = await fileIn(directory);
  const value = JSON.parse(await readFile(file, 'utf8')) as object; // an object, as it was written
  await writeFile(file, JSON.stringify({ ...value, ...changes }));
  return await reopened(directory);
}

test('are read as they were written, and not found once deleted', async ({
  directory,
  records,
}) => {
  await records.write(record);
  const file = await fileIn(directory);
  assert.is((await stat(file)).mode & 0o077, 0, 'passwords are private to the user');
  const { modules } = await reopened(directory);
  assert.equal(modules.values(), [record]);
  assert.equal(modules.ids(), ['sensor']);
  assert.is(modules.failure, undefined);
  const failed = { ...record, state: { ...record.state, goal: 'failed', failure: 'no image' } };
  await records.write(failed as ModuleRecord); // a desired state as above
  assert.is((await reopened(directory)).modules.get(name)?.state.failure, 'no image');
  const { settings, env, elevated } = record;
  if (settings === undefined) throw new Error('the record has settings');
  const source = { name, settings, env, elevated };
  const update = {
    phase: 'fetch',
    other: source,
    proven: source,
    triedDigest: 't',
    digest: 'd',
    previous: 'started',
    start: true,
    oldId: 'c1',
    badId: 'c2',
    waits: 1,
  } as const;
  const rejected = { digest: 'd', count: 2, at: 7, reason: 'it ended' };
  const updated = { ...record, state: { ...record.state, update, former: ['c1', 'c2'], rejected } };
  await records.write(updated);
  assert.equal((await reopened(directory)).modules.get(name), updated);
  await records.delete(name);
  assert.equal([records.modules.ids(), (await reopened(directory)).modules.ids()], [[], []]);
});

test('count as damaged if they belong to another module, and are neither replaced nor removed', async ({
  directory,
  records,
}) => {
  for (const changes of [
    { name: 'other' },
    { goal: 'sideways' },
    { operation: { verb: 'Explode', previous: 'start' } },
    { operation: { verb: 'Stop', previous: 'sideways' } },
    { settings: { image: '' } },
    { update: { phase: 'sideways', previous: 'started', digest: 'd', other: {} } },
    { update: { phase: 'trial', previous: 'started', digest: 'd', other: {} } },
    { env: 'A=b' },
  ]) {
    const again = await changed(directory, records, changes);
    const { modules } = again;
    const counts = [modules.values().length, modules.damaged.size];
    assert.equal(counts, [0, 1], JSON.stringify(changes));
    assert.equal(modules.ids(), ['sensor']);
    try {
      again.refuseDamaged(name);
      assert.unreachable();
    } catch (error) {
      assert.ok(isServiceError(error, 'Unavailable'), String(error));
    }
    assert.not.throws(() => again.refuseDamaged(parseModuleName('filter')));
  }
});

test('mark a module as elevated only if they contain so explicitly', async ({
  directory,
  records,
}) => {
  for (const elevated of [undefined, 'true', 1, false]) {
    const { modules } = await changed(directory, records, { elevated });
    assert.is(modules.get(name)?.elevated, false, String(elevated));
  }
});

test('persist one key for public digests, and refuse a malformed one', async ({
  directory,
  records,
}) => {
  const key = await records.digestKey();
  assert.is(key.length, 32);
  assert.ok(key.equals(await records.digestKey()));
  const path = join(directory, 'digest.key');
  assert.is((await stat(path)).mode & 0o077, 0);
  await writeFile(path, key.subarray(1));
  assert.match(String(await records.digestKey().catch(String)), /does not hold 32 bytes/);
});

test('hold only the desired state of the agent', () => {
  const source = { name, settings: parseSettings({ image: 'a' }), env: { A: 'b' }, elevated: true };
  const agent = { name, type: 'docker' as const, config: {}, env: {} };
  const state = { goal: 'stopped' } as const;
  const none = { settings: undefined, env: {}, elevated: false };
  assert.equal(recordOf(source, state, agent), { name, state, ...none });
  const other = { ...agent, name: parseModuleName('keeper') };
  assert.equal(recordOf(source, state, other), { ...source, state });
});

test('hold the configuration by which an agent has replaced itself, until modules.yaml has another', async ({
  directory,
  records,
}) => {
  const agent = { name, type: 'docker' as const, config: { image: 'b:1' }, env: {} };
  const base = sourceDigest(configuredAgent(agent));
  const settings = parseSettings({ image: 'b:2' });
  const source = { name, settings, env: { A: 'b' }, elevated: true, base };
  await records.write(recordOf(source, { goal: 'stopped' }, agent));
  const again = await reopened(directory);
  const problems = new RestoreErrors(silentLog);
  const [own] = await restoreAgent(agent, again, problems);
  assert.equal(own?.source, source);
  assert.is(own?.state.goal, 'stopped');
  const other = { ...agent, config: { image: 'b:3' } };
  const [configured] = await restoreAgent(other, again, problems);
  assert.equal(configured?.source, configuredAgent(other));
  assert.is(configured?.state.goal, 'stopped');
  assert.equal(problems.texts, []);
});

test('list the modules beside the agent, and whose directories are left over', async ({
  directory,
  records,
}) => {
  await records.write(record);
  const agentName = parseModuleName('keeper');
  const saved = { goal: 'stopped' } as const;
  await records.write({ ...record, name: agentName, state: saved, settings: undefined });
  const socketsPath = join(directory, 'mnt');
  for (const one of ['sensor', 'keeper', 'left']) await createSocketDirectory(socketsPath, one);
  const problems = new RestoreErrors(silentLog);
  const from = { records: await reopened(directory), socketsPath, problems };
  const agent = { name: agentName, type: 'docker' as const, config: { image: 'b:1' }, env: {} };
  const known = await restoreModules({ ...from, agent });
  assert.equal(
    known.map(({ source, state }) => [source.name, source.settings.image, source.elevated, state]),
    [
      ['sensor', 'a:1', true, record.state],
      ['keeper', 'b:1', true, { goal: 'stopped', operation: undefined, failure: undefined }],
    ],
  );
  assert.equal((await readdir(socketsPath)).sort(), ['keeper', 'sensor']);
  assert.equal(problems.texts, []);
  const wrong = await restoreModules({ ...from, agent: { ...agent, config: { image: '' } } });
  assert.equal(
    wrong.map(({ source }) => source.name),
    ['sensor'],
  );
  assert.match(problems.texts.join(), /^module "keeper": /);
  const alone = await restoreModules({ ...from, agent: undefined });
  assert.equal(
    Object.fromEntries(alone.map(({ source, state }) => [source.name, state.goal])),
    { sensor: record.state.goal, keeper: 'absent' },
    'a former agent is removed',
  );
});

test('know a former agent that is being removed, and that modules.yaml names again', async ({
  directory,
  records,
}) => {
  const agent = { name, type: 'docker' as const, config: { image: 'b:1' }, env: {} };
  const former = retired({ source: configuredAgent(agent), state: { goal: 'stopped' } });
  await records.write(recordOf(former.source, former.state, undefined));
  const again = await reopened(directory);
  const socketsPath = join(directory, 'mnt');
  const problems = new RestoreErrors(silentLog);
  const from = { records: again, socketsPath, problems };
  const [alone] = await restoreModules({ ...from, agent: undefined });
  assert.equal([alone?.source, alone?.state.goal], [former.source, 'absent']);
  const [named] = await restoreAgent(agent, again, problems);
  assert.equal(named, { source: configuredAgent(agent), state: { goal: 'started' } });
});

test('are read again for an agent that is configured later, if they were unusable', async ({
  directory,
  records,
}) => {
  const again = await changed(directory, records, { version: 2, goal: 'stopped' });
  const problems = new RestoreErrors(silentLog);
  const agent = { name, type: 'docker' as const, config: { image: 'b:1' }, env: {} };
  const [unread] = await restoreAgent(agent, again, problems);
  assert.is(unread?.state.goal, 'started');
  await writeFile(
    await fileIn(directory),
    JSON.stringify({ version: 1, name, goal: 'stopped', env: {} }),
  );
  const [read] = await restoreAgent(agent, again, problems);
  assert.is(read?.state.goal, 'stopped');
});

test('leave every directory alone if one of them cannot be read', async ({
  directory,
  records,
}) => {
  const again = await changed(directory, records, { goal: 'sideways' });
  const socketsPath = join(directory, 'mnt');
  await createSocketDirectory(socketsPath, 'sensor');
  const problems = new RestoreErrors(silentLog);
  assert.equal(
    await restoreModules({ agent: undefined, records: again, socketsPath, problems }),
    [],
  );
  assert.equal(await readdir(socketsPath), ['sensor']);
  assert.is(problems.texts.length, 1);
});

test('leave every directory alone if their own cannot be listed', async ({ directory }) => {
  const socketsPath = join(directory, 'mnt');
  await createSocketDirectory(socketsPath, 'sensor');
  const closed = join(directory, 'modules');
  if (process.geteuid?.() === 0) await chown(closed, 65534, 65534);
  else await chmod(closed, 0);
  const problems = new RestoreErrors(silentLog);
  const records = await reopened(directory);
  assert.equal(await restoreModules({ agent: undefined, records, socketsPath, problems }), []);
  assert.equal(await readdir(socketsPath), ['sensor']);
  assert.is(problems.texts.length, 1);
  await chmod(closed, 0o700);
});

test.run();
