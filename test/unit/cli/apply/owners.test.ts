import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import {
  changeText,
  configurationChange,
  type FileFacts,
  stateChange,
} from '../../../../src/cli/apply/owners.ts';

const test = suite('owners and modes of files');

const file = (more: Partial<FileFacts>): FileFacts => ({
  path: '/f',
  kind: 'file',
  uid: 0,
  gid: 0,
  mode: 0o644,
  links: 1,
  ...more,
});
const group = { name: 'root:iotedge-keys', uid: 900, gid: 901 };
const owner = { name: 'iotedge-keys:iotedge-keys', uid: 900, gid: 901 };
const keys = { isKeys: true, group };
const modules = { isKeys: false, group };
const state = { owner, isTop: false, protectsLinks: true };
const shown = (facts: FileFacts, change: ReturnType<typeof stateChange>) =>
  change === undefined || 'refusal' in change ? change : changeText(facts, change);

test('makes the files of Keys readable for its group alone', () => {
  const open = file({});
  const change = configurationChange(open, keys);
  assert.is(shown(open, change), '/f: owner 0:0 → root:iotedge-keys, mode 0644 → 0640');
  assert.is(configurationChange(file({ gid: 901, mode: 0o640 }), keys), undefined);
});

test('never opens a file of another service to everybody', () => {
  assert.is(configurationChange(file({}), modules), undefined);
  const writable = file({ uid: 5, mode: 0o666 });
  const closed = configurationChange(writable, modules);
  assert.is(shown(writable, closed), '/f: owner 5:0 → root:root, mode 0666 → 0644');
  const secret = file({ mode: 0o600 });
  const readable = configurationChange(secret, modules);
  assert.is(shown(secret, readable), '/f: owner 0:0 → root:iotedge-keys, mode 0600 → 0640');
});

test('closes directories of configuration to other writers, and leaves what is no file', () => {
  const mend = (mode: number, uid = 0) => {
    const directory = file({ kind: 'directory', mode, uid });
    return shown(directory, configurationChange(directory, keys));
  };
  assert.is(mend(0o755), undefined);
  assert.is(mend(0o775), '/f: mode 0775 → 0755');
  assert.is(mend(0o700), '/f: mode 0700 → 0755');
  assert.is(mend(0o755, 5), '/f: owner 5:0 → root:root');
  assert.is(configurationChange(file({ kind: 'other', mode: 0o777 }), keys), undefined);
});

test('gives the state back to its service', () => {
  const restored = file({ mode: 0o600 });
  assert.is(
    shown(restored, stateChange(restored, state)),
    '/f: owner 0:0 → iotedge-keys:iotedge-keys',
  );
  const own = { uid: 900, gid: 901 };
  assert.is(stateChange(file({ ...own, mode: 0o600 }), state), undefined);
  const unreadable = file({ ...own, mode: 0o4022 });
  assert.is(shown(unreadable, stateChange(unreadable, state)), '/f: mode 4022 → 0600');
  const top = file({ ...own, kind: 'directory', mode: 0o755 });
  assert.is(shown(top, stateChange(top, { ...state, isTop: true })), '/f: mode 0755 → 0700');
  assert.is(stateChange(top, state), undefined);
});

test('refuses files that a service may have linked from elsewhere', () => {
  for (const change of [
    stateChange(file({ links: 2 }), state),
    stateChange(file({}), { ...state, protectsLinks: false }),
    configurationChange(file({ links: 2 }), keys),
  ]) {
    assert.ok(change !== undefined && 'refusal' in change);
  }
  assert.is(stateChange(file({ kind: 'other', links: 2 }), state), undefined);
});

test.run();
