import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { changedTraits, traitsOf } from '../../../../../src/modules/docker/drift/traits.ts';

const test = suite('traits of a container');
const id = 'abcdef0123456789';

function traits(hostConfig: object, networks: object = {}, image = 'sha256:1') {
  const container = {
    Id: id,
    Image: image,
    HostConfig: hostConfig,
    NetworkSettings: { Networks: networks },
  };
  return traitsOf(container);
}

test('are the same whatever an engine reports for no limit', () => {
  const old = { Memory: 0, CpusetCpus: '', KernelMemory: 0, PidsLimit: null };
  const upgraded = { Memory: 0, PidsLimit: -1, CpuCount: 0, Annotations: {}, CpusetCpus: '' };
  assert.equal(changedTraits(traits(old), traits(upgraded)), []);
  assert.equal(traits(old).resources, {});
});

test('name the limits that changed, whether they were set before or not', () => {
  const before = traits({ Memory: 1, NanoCpus: 5 });
  const after = traits({ Memory: 2, NanoCpus: 5, PidsLimit: 9 });
  assert.equal(changedTraits(before, after), ['Memory', 'PidsLimit']);
  assert.equal(changedTraits(after, traits({ NanoCpus: 5, PidsLimit: 9 })), ['Memory']);
});

test('are another image, another network and other names in it', () => {
  const joined = { edge: { Aliases: ['b', 'a'], IPAMConfig: null, IPAddress: '172.18.0.2' } };
  const before = traits({}, joined);
  assert.equal(changedTraits(before, traits({}, joined, 'sha256:2')), ['Image']);
  const changed = (networks: object) => changedTraits(before, traits({}, networks));
  assert.equal(changed({}), ['NetworkSettings']);
  assert.equal(changed({ ...joined, other: {} }), ['NetworkSettings']);
  assert.equal(changed({ edge: { Aliases: ['a'] } }), ['NetworkSettings']);
  const addressed = { IPAMConfig: { IPv4Address: '172.18.0.9' }, Aliases: ['a', 'b'] };
  assert.equal(changed({ edge: addressed }), ['NetworkSettings']);
});

test('are not what the engine adds to a container that starts', () => {
  const created = traits({}, { edge: { Aliases: ['a'], IPAMConfig: {}, IPAddress: '' } });
  const aliases = ['a', id.slice(0, 12)];
  const started = traits(
    {},
    { edge: { Aliases: aliases, IPAMConfig: null, IPAddress: '10.0.0.2' } },
  );
  assert.equal(changedTraits(created, started), []);
});

test.run();
