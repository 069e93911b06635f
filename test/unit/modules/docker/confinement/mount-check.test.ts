import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import {
  checkMounts,
  refuseHostPaths,
  volumesRefusal,
} from '../../../../../src/modules/docker/confinement/mount-check.ts';
import { mountsOf, withHostMounts } from '../../../../../src/modules/docker/confinement/mounts.ts';
import type {
  EngineSystem,
  NewVolume,
  Volume,
} from '../../../../../src/modules/docker/engine/container-engine.ts';
import { failureOf, messageOf } from '../../../../support/failure.ts';

const test = suite('mounts of a module');
const own = { 'org.iotedge.module': 'sensor' };
const config = { allowedBinds: [], allowedVolumes: ['shared'] };
const never = new AbortController().signal;

function volume(name: string, labels: object = {}, changes: Partial<Volume> = {}): Volume {
  const texts = Object.entries(labels).map(([key, value]) => [key, String(value)] as const);
  const options = new Map<string, string>();
  return { name, driver: 'local', options, labels: new Map(texts), mountpoint: '/v', ...changes };
}

/** An engine that has these volumes. */
function engineWith(...volumes: readonly Volume[]) {
  const found = new Map(volumes.map((one) => [one.name, one]));
  const made: NewVolume[] = [];
  return {
    made,
    system: () => Promise.reject<EngineSystem>(new Error('not called')),
    findVolume: (name: string) => Promise.resolve(found.get(name)),
    createVolume: (one: NewVolume) => {
      made.push(one);
      if (!found.has(one.name)) found.set(one.name, volume(one.name, one.labels));
      return Promise.resolve();
    },
  };
}

async function check(engine: ReturnType<typeof engineWith>, ...Binds: readonly string[]) {
  const source = { name: 'sensor', createOptions: { HostConfig: { Binds } } };
  return failureOf(checkMounts(source, { config, engine }, never));
}

test('creates missing volumes with the module as owner', async () => {
  const engine = engineWith();
  assert.is(await check(engine, 'data:/data', 'data:/again:ro', '/anonymous'), 'no failure');
  assert.equal(engine.made, [{ name: 'data', labels: own }]);
  assert.is(await check(engine, 'data:/data'), 'no failure');
  assert.is(engine.made.length, 1);
});

test('overrides a label that sets another owner of a volume', async () => {
  const engine = engineWith();
  const VolumeOptions = { Labels: { a: 'b', 'org.iotedge.module': 'other' } };
  const Mounts = [{ Type: 'volume', Source: 'data', Target: '/x', VolumeOptions }];
  const source = { name: 'sensor', createOptions: { HostConfig: { Mounts } } };
  await checkMounts(source, { config, engine }, never);
  assert.equal(engine.made, [{ name: 'data', labels: { a: 'b', ...own } }]);
});

test('uses a volume of another owner only if it is listed', async () => {
  const foreign = [
    volume('data'),
    volume('data', { 'org.iotedge.module': 'other' }),
    volume('data', own, { options: new Map([['device', '/']]) }),
    volume('data', own, { driver: 'nfs' }),
  ];
  for (const one of foreign) {
    assert.is(await check(engineWith(one), 'data:/data'), 'AccessDenied');
    assert.is(await check(engineWith({ ...one, name: 'shared' }), 'shared:/data'), 'no failure');
  }
});

test('refuses a host path below a directory that containers write to', async () => {
  const path = '/var/lib/engine/volumes/shared/_data/x';
  const source = { name: 'sensor', createOptions: { HostConfig: { Binds: [`${path}:/d`] } } };
  const refusal = async (rootDirectory: string, shared: Partial<Volume>): Promise<string> => {
    const engine = {
      ...engineWith(volume('shared', {}, { mountpoint: '/elsewhere', ...shared })),
      system: () => Promise.resolve({ rootDirectory } as EngineSystem), // the only members used
    };
    const listed = { ...config, allowedBinds: [path] };
    return messageOf(checkMounts(source, { config: listed, engine }, never));
  };
  const below = (directory: string) => `lies below ${directory}, which modules write to`;
  const device = (place: string) => ({ options: new Map([['device', place]]) });
  assert.match(await refusal('/var/lib/engine', {}), below('/var/lib/engine'));
  assert.match(await refusal('/root', { mountpoint: '/var/lib/' }), below('/var/lib'));
  assert.match(
    await refusal('/root', device('/var/lib/engine/volumes')),
    below('/var/lib/engine/volumes'),
  );
  assert.match(await refusal('/root', device('tmpfs')), 'cannot be inspected');
});

test('refuses a host path below another allowed one', async () => {
  const source = { name: 'sensor', createOptions: { HostConfig: { Binds: ['/srv/a/b:/d'] } } };
  const readStatus = () => Promise.reject(new Error('unreadable'));
  const refusal = async (...allowedBinds: readonly string[]): Promise<string> => {
    return messageOf(refuseHostPaths(source, { ...config, allowedBinds }, { readStatus }));
  };
  assert.match(await refusal('/srv/a/b', '/srv/a'), 'lies below /srv/a');
  assert.match(await refusal('/srv/a/b'), 'cannot be inspected');
});

test('reports the first of several volumes that a module may not use', async () => {
  const refusal = async (...found: readonly Volume[]): Promise<string> => {
    const Binds = ['one:/1', 'two:/2', 'three:/3'];
    const source = { name: 'sensor', createOptions: { HostConfig: { Binds } } };
    const refused = await volumesRefusal(source, { config, engine: engineWith(...found) }, never);
    return refused === undefined ? 'none' : refused.message;
  };
  assert.is(await refusal(), 'none');
  assert.is(await refusal(volume('one', own), volume('three', own)), 'none');
  assert.match(await refusal(volume('one', own), volume('three')), 'volume "three"');
  assert.match(await refusal(volume('one'), volume('three')), 'volume "one"');
});

test('reports a volume that was removed right after its creation', async () => {
  const engine = { ...engineWith(), createVolume: () => Promise.resolve() };
  assert.is(await check(engine, 'data:/data'), 'Unavailable');
});

test('does not assume that an existing volume is the one it requested', async () => {
  const engine = engineWith();
  const racing = {
    ...engine,
    createVolume: () => engine.createVolume({ name: 'data', labels: {} }),
  };
  assert.is(await check(racing, 'data:/data'), 'AccessDenied');
});

test('passes host paths to the engine as mounts, which create no directories', () => {
  const Binds = ['/srv/a/:/a', '/srv//b:/b:ro', 'data:/data', '/anonymous'];
  const Mounts = [{ Type: 'tmpfs', Target: '/t' }];
  assert.equal(withHostMounts({ HostConfig: { Binds, Mounts, Memory: 1 } }), {
    HostConfig: {
      Memory: 1,
      Binds: ['data:/data', '/anonymous'],
      Mounts: [
        ...Mounts,
        { Type: 'bind', Source: '/srv/a', Target: '/a', ReadOnly: false },
        { Type: 'bind', Source: '/srv/b', Target: '/b', ReadOnly: true },
      ],
    },
  });
});

test('passes a host path to the engine only in the spelling that was checked', () => {
  const paths = ['/srv/a', '/srv/a/x/..', '/srv/x/../a', '/srv/./a', '//srv//a/', '/srv/a/.', '/'];
  const bind = (Source: string) => ({ Type: 'bind', Source, Target: '/t', ReadOnly: true });
  for (const path of paths) {
    const both = { Binds: [`${path}:/b`], Mounts: [bind(path), bind(`${path}/y/..`)] };
    for (const HostConfig of [both, { Mounts: both.Mounts }]) {
      const { hostPaths } = mountsOf({ HostConfig });
      const made: unknown = withHostMounts({ HostConfig })['HostConfig'];
      const { Mounts } = made as { readonly Mounts: ReturnType<typeof bind>[] }; // as withHostMounts builds them
      const sources = Mounts.map(({ Source }) => Source);
      assert.equal([...new Set(sources)], hostPaths, path);
    }
  }
});

test.run();
