import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { parseModuleName } from '../../../../../src/ids.ts';
import {
  identityNames,
  serverNames,
} from '../../../../../src/modules/api/workload/module-certificate.ts';

const test = suite('names in module certificates');
const hub = parseModuleName('edgeHub');
const dns = (value: string) => ({ kind: 'dns', value });

test('are the requested name and the module', () => {
  const names = serverNames('gateway.example', hub);
  assert.equal(names, {
    commonName: 'gateway.example',
    alternativeNames: [dns('gateway.example'), dns('edgehub')],
  });
  assert.equal(serverNames('10.0.0.7', hub).alternativeNames[0], { kind: 'ip', value: '10.0.0.7' });
});

test('are the module for its cloud id, which is not a host name', () => {
  assert.equal(serverNames('$edgeHub', hub), {
    commonName: '$edgeHub',
    alternativeNames: [dns('edgehub')],
  });
  assert.equal(serverNames('edgeHub', hub).alternativeNames, [dns('edgehub')]);
});

test('that are too long for a common name are only alternative names', () => {
  const long = `${'a'.repeat(60)}.example.com`;
  assert.equal(serverNames(long, hub), {
    commonName: '$edgeHub',
    alternativeNames: [dns(long), dns('edgehub')],
  });
  const module = parseModuleName('m'.repeat(70));
  assert.equal(serverNames(long, module), {
    commonName: undefined,
    alternativeNames: [dns(long)],
  });
  const identity = { hub_hostname: 'hub', device_id: 'd', module_id: 'm'.repeat(70) };
  assert.is(identityNames(identity).commonName, undefined);
});

test('are common names up to 64 characters', () => {
  const commonName = (length: number) =>
    identityNames({ hub_hostname: 'hub', device_id: 'd', module_id: 'm'.repeat(length) })
      .commonName;
  assert.is(commonName(64), 'm'.repeat(64));
  assert.is(commonName(65), undefined);
});

test('omit the trailing dot', () => {
  assert.equal(serverNames('gateway.example.', hub).alternativeNames[0], dns('gateway.example'));
});

test.run();
