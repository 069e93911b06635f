import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { apiVersionFor } from '../../../../../../src/modules/docker/engine/connection/api-version.ts';

const test = suite('version of the API of an engine');

test('is the newest that both know', () => {
  const of = (ApiVersion: unknown, MinAPIVersion: unknown = '1.12') =>
    apiVersionFor({ ApiVersion, MinAPIVersion });
  assert.is(of('1.41'), 'v1.41'); // Engine 20.10
  assert.is(of('1.45', '1.24'), 'v1.45'); // Engine 26
  assert.is(of('1.51', '1.24'), 'v1.51'); // Engine 28
  assert.is(of('1.52', '1.44'), 'v1.51'); // Engine 29
  assert.is(of('1.100', '1.44'), 'v1.51');
  assert.is(of('2.0', '1.44'), 'v1.51');
});

test('is the oldest of an engine that has dropped all that is known', () => {
  assert.is(apiVersionFor({ ApiVersion: '1.70', MinAPIVersion: '1.60' }), 'v1.60');
});

test('is none when the engine does not say', () => {
  for (const ApiVersion of [undefined, '', '1', 1.41, 'v1.41', '1.41/../x']) {
    const found = apiVersionFor({ ApiVersion, MinAPIVersion: '1.24' });
    assert.is(found, ApiVersion === 1.41 ? 'v1.41' : '', String(ApiVersion));
  }
  assert.is(apiVersionFor({ ApiVersion: '1.45' }), 'v1.45');
});

test.run();
