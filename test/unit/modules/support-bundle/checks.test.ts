import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { ServiceError } from '../../../../src/errors.ts';
import { checks } from '../../../../src/modules/support-bundle/checks.ts';
import { failureOf } from '../../../support/failure.ts';
import { via } from '../../../support/via.ts';

const test = suite('checks of a support bundle');
const now = () => new Date('2026-01-02T03:04:05Z');

const descriptions = {
  keys: async () => '{"health":"ok","last_error":""}',
  identity: async () => '{"health":"degraded","last_error":"the hub refuses"}',
  certificates: async () => {
    throw new ServiceError('Unavailable', 'it does not respond');
  },
};

test('have a result for each service', async () => {
  const machine = async () => ({ docker_version: '26' });
  assert.equal(await checks({ descriptions, machine, now }, via), {
    additional_info: { now: '2026-01-02T03:04:05.000Z', docker_version: '26' },
    checks: {
      'iotedge-keys': { result: 'ok' },
      'iotedge-identity': { result: 'warning', details: ['the hub refuses'] },
      'iotedge-certificates': { result: 'error', details: ['it does not respond'] },
    },
  });
});

test('do without the machine, and end with their reader', async () => {
  const machine = async () => {
    throw new ServiceError('Unavailable', 'no engine');
  };
  const found = await checks({ descriptions, machine, now }, via);
  assert.equal(Reflect.get(found, 'additional_info'), { now: '2026-01-02T03:04:05.000Z' });
  const left = { ...via, signal: AbortSignal.abort() };
  assert.is.not(await failureOf(checks({ descriptions, machine, now }, left)), 'no failure');
});

test.run();
