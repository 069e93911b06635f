import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { parseSettings } from '../../../../src/modules/docker/create-options/create-options.ts';
import { resolveUpstream, withUpstream } from '../../../../src/modules/docker/upstream-image.ts';
import { codeOf } from '../../../support/failure.ts';

const test = suite('images at the parent');
const hosts = { hub_hostname: 'hub.example', gateway_hostname: 'parent.example' };

function resolved(image: string, auth?: object, gateway = hosts.gateway_hostname) {
  const settings = parseSettings({ image, auth });
  return withUpstream(settings, { ...hosts, gateway_hostname: gateway });
}

test('have the name of the parent', () => {
  assert.is(resolved('$upstream:8000/agent:1').image, 'parent.example:8000/agent:1');
  assert.is(resolved('$upstream/agent').image, 'parent.example/agent');
  assert.is(resolved('$upstream:443/a', undefined, 'p:8883').image, 'p:443/a');
  assert.is(resolved('$upstream/a', undefined, 'p.example:8883').image, 'p.example/a');
  assert.is(resolved('$upstream/a', undefined, 'localhost:8883').image, 'localhost/a');
  assert.is(resolved('registry.example/upstream').image, 'registry.example/upstream');
});

test('are pulled with credentials for the parent', () => {
  const auth = { username: 'u', password: 'p', serveraddress: '$upstream:8000' };
  const { auth: sent } = resolved('$upstream:8000/agent:1', auth);
  assert.equal(sent, { ...auth, serveraddress: 'parent.example:8000' });
  assert.is(resolved('$upstream/a', { username: 'u' }).auth?.serveraddress, undefined);
});

test('are never those of a user of Docker Hub who has the name of the parent', () => {
  assert.is(resolved('$upstream/a/b:1', undefined, 'parent').image, 'parent:443/a/b:1');
  assert.is(resolved('$upstream:80/a', undefined, 'parent').image, 'parent:80/a');
});

test('need hosts only where they name the parent', async () => {
  const image = (text: string) => parseSettings({ image: text });
  let asked = 0;
  const ask = () => Promise.resolve({ ...hosts, asked: ++asked });
  assert.is((await resolveUpstream(image('registry.example/a'), ask)).image, 'registry.example/a');
  assert.is(asked, 0);
  assert.is((await resolveUpstream(image('$upstream:1/a'), ask)).image, 'parent.example:1/a');
});

test('cannot be had without a parent', () => {
  for (const gateway of ['', hosts.hub_hostname]) {
    assert.is(
      codeOf(() => resolved('$upstream/a', undefined, gateway)),
      'InvalidArgs',
    );
    assert.is(resolved('a', undefined, gateway).image, 'a');
  }
});

test('are no images with the word anywhere else', () => {
  for (const image of ['$upstreamer/a', '$upstream', '$upstream:', 'a/$upstream/b', '$other/a']) {
    assert.is(
      codeOf(() => parseSettings({ image })),
      'InvalidArgs',
      image,
    );
  }
});

test.run();
