import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { networkDifference } from '../../../../../src/modules/docker/engine/network-difference.ts';

const test = suite('existing networks');
const Config = [{ Subnet: '172.20.0.0/16', Gateway: '172.20.0.1' }];
const found = { EnableIPv6: false, IPAM: { Driver: 'default', Options: null, Config } };
const name = 'edge';

test('are as configured when they have everything that is', () => {
  assert.is(networkDifference(found, { name }), '');
  assert.is(networkDifference(found, { name, ipv6: false, ipam: { Config } }), '');
  assert.is(
    networkDifference(found, { name, ipam: { Config: [{ Subnet: '172.20.0.0/16' }] } }),
    '',
  );
  assert.is(networkDifference({}, { name, ipam: {} }), '');
});

test('are reported with what they lack', () => {
  assert.match(networkDifference(found, { name, ipv6: true }), /"edge".*ipv6 is not true/);
  for (const range of [
    { Subnet: '172.21.0.0/16' },
    { Subnet: '172.20.0.0/16', IPRange: '172.20.1.0/24' },
    { Subnet: '172.20.0.0/16', Gateway: '172.20.0.9' },
  ]) {
    const text = networkDifference(found, { name, ipam: { Config: [range] } });
    assert.ok(text.includes(JSON.stringify(range)), text);
  }
});

test.run();
