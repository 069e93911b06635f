import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { parseSettings } from '../../../../src/modules/docker/create-options/create-options.ts';
import { withUpstream } from '../../../../src/modules/docker/upstream-image.ts';
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
  assert.is(resolved('$upstream/a', undefined, 'p:8883').image, 'p/a');
  assert.is(resolved('registry.example/upstream').image, 'registry.example/upstream');
});

test('are pulled with credentials for the parent', () => {
  const auth = { username: 'u', password: 'p', serveraddress: '$upstream:8000' };
  const { auth: sent } = resolved('$upstream:8000/agent:1', auth);
  assert.equal(sent, { ...auth, serveraddress: 'parent.example:8000' });
  assert.is(resolved('$upstream/a', { username: 'u' }).auth?.serveraddress, undefined);
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
