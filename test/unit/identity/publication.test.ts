/** What the properties say is wrong, and since when the modules are there. */
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import type { ModuleIdentities } from '../../../src/identity/hub/module-identities.ts';
import { Publication } from '../../../src/identity/publication.ts';
import type { SavedModule } from '../../../src/identity/state.ts';
import { parseModuleId } from '../../../src/ids.ts';
import { identityService } from '../../../src/interfaces/identity.ts';
import { ShownObjects } from '../../support/wire/shown-objects.ts';

const test = suite('publication of identities');
const at = new Date('2026-01-02T03:04:05.678Z');

const device = {
  hubHostname: 'hub.example',
  deviceId: 'pump-1',
  source: 'dps',
  answerTo: '',
  registrationId: 'pump-1',
  provisionedAt: at.toISOString(),
};
const provisioned = {
  state: 'provisioned',
  device,
  lastError: '',
  nextAttempt: undefined,
} as const;

/** Modules of these ids, and what is wrong with others. */
function modulesOf(
  ids: readonly string[],
  more: Partial<Pick<ModuleIdentities, 'damaged' | 'refused' | 'unlisted'>> = {},
): ModuleIdentities {
  const list = (): readonly SavedModule[] =>
    ids.map((id) => ({
      moduleId: parseModuleId(id),
      managedBy: 'iotedge',
      generationId: '1',
      deviceId: 'pump-1',
      hubHostname: 'hub.example',
      phase: 'complete' as const,
    }));
  const none = { damaged: new Map(), refused: new Map(), unlisted: undefined };
  return { ...none, list, ...more } as unknown as ModuleIdentities; // what is read of it
}

/** A publication, and what is put on its objects. */
function watched() {
  const calls: string[] = [];
  const objects = new ShownObjects(identityService);
  const publication = new Publication(objects, () => at);
  objects.setProperties = (values) => calls.push(`set ${Object.keys(values).length}`) > 0;
  objects.put = (id) => void calls.push(`put ${id}`);
  objects.remove = (id) => void calls.push(`remove ${id}`);
  return { calls, publication };
}

test('has the times of provisioning in microseconds, and 0 for none', () => {
  const { publication } = watched();
  assert.equal(
    [publication.properties.LastProvisioned, publication.properties.NextAttempt],
    [0n, 0n],
  );
  assert.is(publication.properties.State, 'unprovisioned');
  publication.setStatus({ ...provisioned, nextAttempt: new Date(at.getTime() + 1) });
  const { LastProvisioned, NextAttempt } = publication.properties;
  assert.equal([LastProvisioned, NextAttempt], [1_767_323_045_678_000n, 1_767_323_045_679_000n]);
});

test('names everything that is wrong, the device first', () => {
  const { publication } = watched();
  publication.setStatus({ ...provisioned, lastError: 'the device' });
  publication.setDisk('the disk');
  publication.setIntents({ problems: ['an intent', 'another'] });
  const damaged = new Map([[parseModuleId('d'), 'damage']]);
  const refused = new Map([[parseModuleId('r'), 'refusal']]);
  publication.setModules(modulesOf([], { damaged, refused, unlisted: 'the folder' }));
  publication.setClock(new Date(at.getTime() + 3_600_000));
  const { LastError, Health } = publication.properties;
  assert.is(
    LastError,
    'the device; the disk; the folder; an intent; another; module "d": damage; module "r": refusal; ' +
      "this clock is 3600 s behind the cloud's: set it, or tokens are refused",
  );
  assert.is(Health, 'degraded');
});

test('cuts what is wrong at 1024 characters', () => {
  const { publication } = watched();
  publication.setStatus({ ...provisioned, lastError: 'x'.repeat(2000) });
  assert.is(publication.properties.LastError, 'x'.repeat(1024));
});

test('shows modules, and takes away those that are gone', () => {
  const { calls, publication } = watched();
  publication.setModules(modulesOf(['a', 'b']));
  assert.equal(calls.splice(0), ['set 10', 'put a', 'put b']);
  publication.setModules(modulesOf(['b', 'c']));
  assert.equal(calls.splice(0), ['set 10', 'remove a', 'put b', 'put c']);
  // modules follow the device that they are of
  publication.setStatus(provisioned);
  assert.equal(calls.splice(0), ['set 10', 'put b', 'put c']);
  publication.setOperation('Provision');
  assert.is(publication.properties.Operation, 'Provision');
  publication.setSource({ Source: 'dps', Attestation: 'x509' }, provisioned);
  assert.is(calls.filter((call) => call === 'set 2').length, 1);
});

test('counts a difference between clocks from what it has announced', () => {
  const { calls, publication } = watched();
  const skew = (ms: number) => {
    publication.setClock(new Date(at.getTime() + ms));
    return [publication.properties.ClockSkew / 1_000_000n, calls.splice(0).length > 0];
  };
  assert.equal(skew(4499), [0n, false]);
  assert.equal(skew(4500), [5n, true]);
  assert.equal(skew(9499), [5n, false]);
  assert.equal(skew(400), [0n, true]);
  assert.equal(skew(-4499), [0n, false]);
  assert.equal(skew(-5000), [-5n, true]);
});

test('takes a difference between clocks for wrong above five minutes', () => {
  const { publication } = watched();
  publication.setStatus(provisioned);
  const health = (seconds: number): string => {
    publication.setClock(new Date(at.getTime() + seconds * 1000));
    return publication.properties.Health;
  };
  assert.equal([300, -300, 305, -305].map(health), ['ok', 'ok', 'degraded', 'degraded']);
});

test.run();
