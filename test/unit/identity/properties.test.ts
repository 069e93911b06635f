/** The problems that the properties report, and since when the device is provisioned. */
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { managerProperties, sourceProperties } from '../../../src/identity/properties.ts';
import type { ProvisioningStatus } from '../../../src/identity/provisioning.ts';
import { parseModuleId } from '../../../src/ids.ts';

const test = suite('properties of identities');
const at = new Date('2026-01-02T03:04:05.678Z');

const device = {
  hubHostname: 'hub.example',
  deviceId: 'pump-1',
  source: 'dps',
  answerTo: '',
  registrationId: 'pump-1',
  provisionedAt: at.toISOString(),
};
const unprovisioned: ProvisioningStatus = {
  state: 'unprovisioned',
  device: undefined,
  lastError: '',
  nextAttempt: undefined,
};
const provisioned: ProvisioningStatus = { ...unprovisioned, state: 'provisioned', device };
const well = {
  status: provisioned,
  gateway: undefined,
  modules: { damaged: new Map(), refused: new Map(), unlisted: undefined },
  operation: '',
  disk: '',
  pendingOperations: [],
  skew: { seconds: 0, problem: '' },
};

test('have the times of provisioning in microseconds, and 0 for none', () => {
  const none = managerProperties({ ...well, status: unprovisioned });
  assert.equal([none.LastProvisioned, none.NextAttempt], [0n, 0n]);
  assert.is(none.State, 'unprovisioned');
  const nextAttempt = new Date(at.getTime() + 1);
  const { LastProvisioned, NextAttempt } = managerProperties({
    ...well,
    status: { ...provisioned, nextAttempt },
  });
  assert.equal([LastProvisioned, NextAttempt], [1_767_323_045_678_000n, 1_767_323_045_679_000n]);
});

test('report every problem, the device first', () => {
  const damaged = new Map([[parseModuleId('d'), 'damage']]);
  const refused = new Map([[parseModuleId('r'), 'refusal']]);
  const { LastError, Health } = managerProperties({
    ...well,
    status: { ...provisioned, lastError: 'the device' },
    modules: { damaged, refused, unlisted: 'the folder' },
    disk: 'the disk',
    pendingOperations: ['an operation', 'another'],
    skew: { seconds: 3600, problem: 'the clock' },
  });
  assert.is(
    LastError,
    'the device; the disk; the folder; an operation; another; module "d": damage; module "r": refusal; the clock',
  );
  assert.is(Health, 'degraded');
});

test('truncate problems at 1024 characters', () => {
  const status = { ...provisioned, lastError: 'x'.repeat(2000) };
  assert.is(managerProperties({ ...well, status }).LastError, 'x'.repeat(1024));
});

test('have the operation, the difference between clocks and the source', () => {
  const skew = { seconds: -5, problem: '' };
  const shown = managerProperties({ ...well, operation: 'Provision', skew });
  assert.equal([shown.Operation, shown.ClockSkew], ['Provision', -5_000_000n]);
  assert.equal([shown.Health, shown.LastError], ['ok', '']);
  const source = { source: 'dps', attestation: 'x509' } as const;
  assert.equal(sourceProperties(source), { Source: 'dps', Attestation: 'x509' });
  assert.equal(sourceProperties(undefined), { Source: '', Attestation: '' });
});

test.run();
