import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { isRoot, isWithin, parseCgroup } from '../../../../src/modules/callers/cgroup.ts';

const test = suite('control groups');

test('are read of version 2', () => {
  const read = parseCgroup('0::/system.slice/docker-4f.scope\n');
  assert.equal(read, { unified: '/system.slice/docker-4f.scope', systemd: undefined });
});

test('are read of version 1 and of both, whatever the order and the numbers', () => {
  const one = '12:cpu,cpuacct:/a\n3:name=other:/b\n1:name=systemd:/docker/4f\n';
  assert.equal(parseCgroup(one), { unified: undefined, systemd: '/docker/4f' });
  const both = '10:name=systemd:/docker/4f\n0::/\n1:memory:/x\n';
  assert.equal(parseCgroup(both), { unified: '/', systemd: '/docker/4f' });
});

test('may have colons and blanks in their paths', () => {
  const read = parseCgroup('0::/a:b/0::/c d\n');
  assert.is(read.unified, '/a:b/0::/c d');
});

test('are not read from a hierarchy that has only the name or only the number', () => {
  const none = { unified: undefined, systemd: undefined };
  for (const text of ['', '0:name=x:/a\n', '5::/a\n', 'x::/a\n', '1:systemd:/a\n', '0:/a\n']) {
    assert.equal(parseCgroup(text), none, text);
  }
});

const unified = (path: string) => ({ unified: path, systemd: undefined });
const hybrid = (one: string, two: string) => ({ unified: one, systemd: two });

test('are within themselves and those above, by whole segments from the root', () => {
  const module = unified('/system.slice/docker-4f.scope');
  for (const path of ['', '/', '/init.scope', '/a/b c/docker-4f.scope']) {
    assert.ok(isWithin(unified(`/system.slice/docker-4f.scope${path}`), module), path);
  }
  const strangers = [
    '/',
    '/system.slice',
    '/docker-4f.scope',
    '/system.slice/docker-4f.scope2',
    '/system.slice/docker-4f',
    '/user.slice/user-1000.slice/user@1000.service/system.slice/docker-4f.scope',
    '/user.slice/user-1000.slice/user@1000.service/app.slice/docker-4f.scope',
    '/../system.slice/docker-4f.scope',
    '/system.slice/docker-4f.scope (deleted)',
    '/system.slice/docker-4f.scope/a (deleted)',
  ];
  for (const path of strangers) assert.not.ok(isWithin(unified(path), module), path);
});

test('that were removed have nothing within', () => {
  const path = '/docker/4f (deleted)';
  assert.not.ok(isWithin(unified(path), unified(path)));
});

test('have to fit in both hierarchies, where both exist', () => {
  const module = hybrid('/', '/docker/4f');
  assert.ok(isWithin(hybrid('/anything', '/docker/4f/x'), module));
  assert.not.ok(isWithin(hybrid('/', '/docker/5a'), module));
  const inBoth = hybrid('/m', '/docker/4f');
  assert.ok(isWithin(hybrid('/m/x', '/docker/4f'), inBoth));
  assert.not.ok(isWithin(hybrid('/', '/docker/4f'), inBoth));
  assert.not.ok(isWithin(hybrid('/m', '/'), inBoth));
});

test('of hierarchies that only one of them has do not fit', () => {
  const one = { unified: undefined, systemd: '/docker/4f' };
  assert.not.ok(isWithin(hybrid('/docker/4f', '/docker/4f'), one));
  assert.not.ok(isWithin(one, hybrid('/docker/4f', '/docker/4f')));
  const none = { unified: undefined, systemd: undefined };
  assert.not.ok(isWithin(none, none));
});

test('are the root when every process is within', () => {
  for (const path of ['/', '', '/..', '/../..']) assert.ok(isRoot(unified(path)), path);
  assert.ok(isRoot(hybrid('/', '/')));
  assert.ok(isRoot({ unified: undefined, systemd: undefined }));
  assert.not.ok(isRoot(hybrid('/', '/docker/4f')));
  assert.not.ok(isRoot(hybrid('/m', '/')));
  assert.not.ok(isRoot(unified('/../m')));
});

test.run();
