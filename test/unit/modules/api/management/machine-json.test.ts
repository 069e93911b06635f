import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { ServiceError } from '../../../../../src/errors.ts';
import { HttpProblem } from '../../../../../src/modules/api/http/failure.ts';
import { machineJson } from '../../../../../src/modules/api/management/machine-json.ts';
import { via } from '../../../../support/via.ts';

const test = suite('machine of the management API');
const system = {
  osType: 'linux',
  architecture: 'x86_64',
  serverVersion: '20.10',
  kernelVersion: '6',
  operatingSystem: 'Debian',
  cpus: 2,
  totalMemoryBytes: 1024,
  rootDirectory: '/var/lib/docker',
  logDriver: 'json-file',
};

test('is described in the terms of clients', async () => {
  const json = await machineJson({ system: async () => system }, '1.2.3', via.signal);
  const { osType, architecture, cpus, total_memory, version, server_version, ...others } =
    json as Record<string, unknown>; // each is compared
  assert.equal([osType, architecture, cpus, total_memory], ['Linux', 'x86_64', 2, 1024]);
  assert.equal([version, server_version], ['1.2.3', '20.10']);
  assert.match(String(others['kernel_release']), /^\d/);
  assert.match(String(others['operating_system']), /^[a-z]/);
});

test('is not described without the engine: a client would keep that', async () => {
  const engine = { system: () => Promise.reject(new ServiceError('Unavailable', 'no engine')) };
  try {
    await machineJson(engine, '1', via.signal);
    assert.unreachable();
  } catch (error) {
    assert.instance(error, HttpProblem);
    assert.is(error instanceof HttpProblem && error.status, 500);
  }
});

test.run();
