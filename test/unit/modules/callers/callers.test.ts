import { setTimeout as sleep } from 'node:timers/promises';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { parseModuleName } from '../../../../src/ids.ts';
import { Callers, type CallingModule } from '../../../../src/modules/callers/callers.ts';
import { deadline } from '../../../support/deadline.ts';

const test = suite('callers of the host socket');
const group = (unified: string) => ({ unified, systemd: undefined });
const runtime = group('/system.slice/iotedge-modules.service');
const engine = group('/system.slice/docker.service');

function moduleIn(path: string, name = 'm', parent = engine): CallingModule {
  const cgroups = { main: group(path), parent };
  return { name: parseModuleName(name), cgroups, isStarting: false };
}

const stopped: CallingModule = {
  name: parseModuleName('stopped'),
  cgroups: undefined,
  isStarting: false,
};

function find(path: string, ...modules: readonly CallingModule[]): string | undefined {
  return new Callers(() => modules, runtime).find(group(path));
}

test('are the processes in the group of a module and below', () => {
  const modules = [stopped, moduleIn('/docker/1', 'one'), moduleIn('/docker/2', 'two')];
  assert.is(find('/docker/1', ...modules), 'one');
  assert.is(find('/docker/2/init.scope', ...modules), 'two');
  for (const path of ['/docker', '/docker/3', '/docker/11', '/', '/stopped']) {
    assert.is(find(path, ...modules), undefined, path);
  }
});

test('a module has none whose group is not its own alone', () => {
  const shared: readonly (readonly [string, string, readonly CallingModule[]])[] = [
    ['the root', '/x', [moduleIn('/')]],
    ['the root of a cgroup namespace', '/../x', [moduleIn('/..')]],
    ['that of the runtime', runtime.unified, [moduleIn(runtime.unified)]],
    ['one above the runtime', '/system.slice/x', [moduleIn('/system.slice')]],
    ['that of the engine', engine.unified, [moduleIn(engine.unified)]],
    ['one above the engine', '/e/x', [moduleIn('/e', 'm', group('/e/shim'))]],
    ['that of another module', '/d/1', [moduleIn('/d/1', 'a'), moduleIn('/d/1', 'b')]],
    ['one above another module', '/d/x', [moduleIn('/d', 'a'), moduleIn('/d/1', 'b')]],
  ];
  for (const [what, caller, modules] of shared) {
    assert.is(find(caller, ...modules), undefined, what);
  }
});

test('a module whose group lies below that of another one keeps its own', () => {
  const modules = [moduleIn('/d/1', 'b'), moduleIn('/d', 'a')];
  assert.is(find('/d/1/x', ...modules), 'b');
  assert.is(find('/d/1/x', ...modules.toReversed()), 'b');
});

test('are recognized as soon as a module that is being started is observed', async () => {
  let modules: readonly CallingModule[] = [{ ...stopped, isStarting: true }];
  const callers = new Callers(() => modules, runtime);
  const found = callers.moduleOf(group('/docker/1'));
  assert.is(await Promise.race([found, sleep(100, 'waits')]), 'waits');
  modules = [moduleIn('/docker/1', 'one')];
  assert.is(await deadline(5_000, found, 'the module'), 'one');
});

test('are checked together while a module is being started', async () => {
  let reads = 0;
  let modules: readonly CallingModule[] = [{ ...stopped, isStarting: true }];
  const callers = new Callers(() => {
    reads++;
    return modules;
  }, runtime);
  const found = Array.from({ length: 100 }, (_, index) =>
    callers.moduleOf(group(index % 2 === 0 ? '/docker/1' : '/user.slice')),
  );
  const asked = reads;
  await sleep(300);
  modules = [moduleIn('/docker/1', 'one')];
  const names = await deadline(5_000, Promise.all(found), 'the modules');
  assert.equal(new Set(names.filter((_, index) => index % 2 === 0)), new Set(['one']));
  assert.equal(new Set(names.filter((_, index) => index % 2 !== 0)), new Set([undefined]));
  assert.ok(reads - asked <= 20, `${reads - asked} times`);
  const before = reads;
  await sleep(100);
  assert.is(reads, before, 'none is left');
});

test('are strangers at once while no module is being started', async () => {
  const callers = new Callers(() => [stopped], runtime);
  const found = callers.moduleOf(group('/docker/1'));
  assert.is(await Promise.race([found, sleep(500, 'waits')]), undefined);
});

test('are strangers after a while even if a module is always being started', async () => {
  const callers = new Callers(() => [{ ...stopped, isStarting: true }], runtime);
  assert.is(await deadline(10_000, callers.moduleOf(group('/docker/1')), 'the end'), undefined);
});

test.run();
