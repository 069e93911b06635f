import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import {
  hostPathReason,
  type PathStatus,
} from '../../../../../src/modules/docker/confinement/host-path.ts';

const test = suite('host paths');

interface Entry {
  readonly kind?: 'directory' | 'file' | 'socket' | 'link' | 'pipe';
  readonly uid?: number;
  readonly mode?: number;
  /** Another path to the directory with this inode number. */
  readonly ino?: number;
}

type Tree = Readonly<Record<string, Entry>>;

function statusOf({ kind = 'directory', uid = 0, mode = 0o755, ino = 0 }: Entry): PathStatus {
  return {
    dev: 1,
    ino,
    uid,
    mode,
    isDirectory: () => kind === 'directory',
    isFile: () => kind === 'file',
    isSocket: () => kind === 'socket',
    isSymbolicLink: () => kind === 'link',
  };
}

const sound: Tree = {
  '/': {},
  '/srv': {},
  '/srv/app': {},
  '/srv/app/data': { uid: 1000, mode: 0o777 },
};

/** Reason that `/srv/app/data` may not be mounted with these changes to the tree. */
function reason(changes: Tree = {}, writable: readonly string[] = []): Promise<string | undefined> {
  const tree = new Map(Object.entries({ ...sound, ...changes }));
  const numbers = [...tree.keys()];
  return hostPathReason('/srv/app/data', writable, (path) => {
    const entry = tree.get(path);
    if (entry === undefined)
      return Promise.reject(Object.assign(new Error(path), { code: 'ENOENT' }));
    return Promise.resolve(statusOf({ ino: numbers.indexOf(path) + 1, ...entry }));
  });
}

test('allows a directory, a file and a socket of any owner', async () => {
  assert.is(await reason(), undefined);
  for (const kind of ['directory', 'file', 'socket'] as const) {
    assert.is(await reason({ '/srv/app/data': { kind, uid: 7, mode: 0o777 } }), undefined);
  }
});

test('refuses a symbolic link, a pipe and a missing path', async () => {
  for (const kind of ['link', 'pipe'] as const) {
    assert.match(String(await reason({ '/srv/app/data': { kind } })), '/srv/app/data');
  }
  const missing = hostPathReason('/srv/absent', [], () => Promise.reject(new Error('gone')));
  assert.match(String(await missing), '/srv/absent');
});

test('refuses a path that a user other than root could replace, at every level', async () => {
  for (const directory of ['/', '/srv', '/srv/app']) {
    for (const change of [
      { uid: 1000 },
      { mode: 0o775 },
      { mode: 0o757 },
      { mode: 0o1777 },
      { mode: 0o2775 },
      { kind: 'link' },
      { kind: 'file' },
    ] as const) {
      const found = await reason({ [directory]: change });
      assert.match(String(found), `${directory} `, JSON.stringify(change));
    }
  }
});

test('refuses a path below a directory that modules write to, or below another path to the same directory', async () => {
  assert.match(String(await reason({}, ['/srv'])), 'modules write');
  assert.match(String(await reason({}, ['/'])), 'modules write');
  assert.match(String(await reason({ '/other': { ino: 3 } }, ['/other'])), 'modules write');
  assert.is(
    await reason({}, ['/srv/app/data', '/srv/app/data/below', '/srv/ap', '/absent']),
    undefined,
  );
});

test.run();
