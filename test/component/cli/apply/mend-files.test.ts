import {
  chmod,
  chown,
  lchown,
  link,
  mkdir,
  mkdtemp,
  rm,
  stat,
  symlink,
  writeFile,
} from 'node:fs/promises';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { holdTrusted } from '../../../../src/cli/apply/held-file.ts';
import { mendConfiguration, mendState } from '../../../../src/cli/apply/mend-files.ts';
import { Steps } from '../../../../src/cli/apply/steps.ts';
import { codeOf } from '../../../support/failure.ts';

const test = suite<{ dir: string }>('mending of owners and modes');

const owner = { name: 'iotedge-keys:iotedge-keys', uid: 12_345, gid: 12_346 };

test.before.each(async (context) => {
  context.dir = await mkdtemp('/tmp/iotedge-mend-');
  await chmod(context.dir, 0o755);
});
test.after.each(({ dir }) => rm(dir, { recursive: true }));

const steps = (dryRun = false) => {
  const lines: string[] = [];
  const context = {
    options: { 'dry-run': dryRun },
    print: (text: string) => void lines.push(text),
  };
  return { lines, steps: new Steps(context) };
};
const found = async (path: string) => {
  const { uid, gid, mode } = await stat(path);
  return [uid, gid, (mode & 0o7777).toString(8)];
};

test('gives a restored state to the service, and tells each change', async ({ dir }) => {
  const state = join(dir, 'keys');
  await mkdir(join(state, 'keys'), { recursive: true });
  await writeFile(join(state, 'keys/a.json'), '', { mode: 0o600 });
  await writeFile(join(state, 'shown.json'), '{}');
  const dry = steps(true);
  assert.equal(await mendState(state, owner, dry.steps), []);
  assert.is(dry.lines.length, 4);
  assert.is((await stat(state)).uid, 0);
  const { lines, steps: real } = steps();
  assert.equal(await mendState(state, owner, real), []);
  assert.is(lines.length, 4);
  assert.match(lines[2] ?? '', /keys\/a\.json: owner 0:0 → iotedge-keys:iotedge-keys$/);
  assert.equal(await found(state), [owner.uid, owner.gid, '700']);
  assert.equal(await found(join(state, 'keys/a.json')), [owner.uid, owner.gid, '600']);
  assert.equal(await mendState(state, owner, steps().steps), []);
});

test('follows no link of the service, and changes no file that has another name', async ({
  dir,
}) => {
  const state = join(dir, 'keys');
  await mkdir(state);
  await writeFile(join(state, 'shown.json'), '{}');
  await mkdir(join(dir, 'etc'));
  for (const name of ['shadow', 'linked'])
    await writeFile(join(dir, 'etc', name), '', { mode: 0o640 });
  await symlink(join(dir, 'etc/shadow'), join(state, 'file'));
  await symlink(join(dir, 'etc'), join(state, 'directory'));
  await link(join(dir, 'etc/linked'), join(state, 'hard'));
  const [left = '', ...more] = await mendState(state, owner, steps().steps);
  assert.match(left, /keys\/hard is not touched: it has 2 names/);
  assert.equal(more, []);
  for (const name of ['shadow', 'linked']) {
    assert.equal(await found(join(dir, 'etc', name)), [0, 0, '640']);
  }
  assert.equal(await found(join(dir, 'etc')), [0, 0, '755']);
});

test('touches no state that another user could have led elsewhere', async ({ dir }) => {
  const mine = join(dir, 'mine');
  await mkdir(join(mine, 'state'), { recursive: true });
  await chown(mine, 4711, 4711);
  const [left] = await mendState(join(mine, 'state'), owner, steps().steps);
  assert.match(left ?? '', /is not touched, since others can write .*mine/);
  assert.is((await stat(join(mine, 'state'))).uid, 0);
  // through a link of root it is the same
  await symlink(join(mine, 'state'), join(dir, 'alias'));
  assert.is((await mendState(join(dir, 'alias'), owner, steps().steps)).length, 1);
  await chown(mine, 0, 0);
  await chmod(mine, 0o777);
  assert.is((await mendState(join(mine, 'state'), owner, steps().steps)).length, 1);
  await chmod(mine, 0o755);
  assert.equal(await mendState(join(dir, 'alias'), owner, steps().steps), []);
  assert.is((await stat(join(mine, 'state'))).uid, owner.uid);
});

test('leaves a directory alone that is no state, and says so', async ({ dir }) => {
  const state = join(dir, 'other');
  await mkdir(join(state, 'info'), { recursive: true });
  const left = async () => (await mendState(state, owner, steps().steps)).join();
  assert.match(await left(), 'other is not the state of a service');
  assert.is((await stat(state)).uid, 0);
  await writeFile(join(state, 'shown.json'), '{}');
  assert.is(await left(), '', 'restored by root');
  assert.is((await stat(join(state, 'info'))).uid, owner.uid);
  await rm(join(state, 'shown.json'));
  await chown(join(state, 'info'), 0, 0);
  assert.is(await left(), '', 'of its user');
  assert.is((await stat(join(state, 'info'))).uid, owner.uid);
  await writeFile(join(dir, 'file'), '');
  assert.match(
    (await mendState(join(dir, 'file'), owner, steps().steps)).join(),
    'is not the state',
  );
});

test('mends a file whose name is not UTF-8', async ({ dir }) => {
  const state = join(dir, 'keys');
  await mkdir(state);
  await chown(state, owner.uid, owner.gid);
  const path = Buffer.from(`${state}/\xff`, 'latin1');
  await writeFile(path, '');
  assert.equal(await mendState(state, owner, steps().steps), []);
  assert.is((await stat(path)).uid, owner.uid);
});

test('passes a sticky directory only by what is of root', async ({ dir }) => {
  const shared = join(dir, 'shared');
  await mkdir(join(shared, 'foreign/state'), { recursive: true });
  await mkdir(join(shared, 'own/state'), { recursive: true });
  await chmod(shared, 0o1777);
  await chown(join(shared, 'foreign'), 4711, 4711);
  assert.is(
    codeOf(() => holdTrusted(join(shared, 'foreign/state'))?.[Symbol.dispose]()),
    'AccessDenied',
  );
  await symlink('own/state', join(shared, 'link'));
  holdTrusted(join(shared, 'link'))?.[Symbol.dispose]();
  await lchown(join(shared, 'link'), 4711, 4711);
  assert.is(
    codeOf(() => holdTrusted(join(shared, 'link'))),
    'AccessDenied',
  );
  using held = holdTrusted(join(shared, 'own/state'));
  assert.ok(held);
  assert.is(holdTrusted(join(shared, 'absent/state')), undefined);
});

test('mends configuration files and their directories, and leaves those that others can replace', async ({
  dir,
}) => {
  await mkdir(join(dir, 'keys.d'), { mode: 0o775 });
  await chmod(join(dir, 'keys.d'), 0o775);
  await writeFile(join(dir, 'keys.d/a.yaml'), '');
  await writeFile(join(dir, 'keys.d/a.txt'), '', { mode: 0o600 });
  await writeFile(join(dir, 'keys.yaml'), '');
  await writeFile(join(dir, 'modules.yaml'), '', { mode: 0o600 });
  const owners = new Map(['keys', 'modules'].map((name) => [name, owner]));
  const { steps: real } = steps();
  assert.equal(await mendConfiguration(dir, owners, real), []);
  assert.equal(await found(join(dir, 'keys.d')), [0, 0, '755']);
  for (const name of ['keys.yaml', 'keys.d/a.yaml', 'modules.yaml']) {
    assert.equal(await found(join(dir, name)), [0, owner.gid, '640'], name);
  }
  assert.equal(await found(join(dir, 'keys.d/a.txt')), [0, 0, '600']);
  await chown(dir, 4711, 4711);
  await writeFile(join(dir, 'keys.yaml'), '');
  const { steps: again } = steps();
  await mendConfiguration(dir, owners, again);
  assert.is((await stat(dir)).uid, 0);
});

test.run();
