import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { type ErrorCode, ServiceError } from '../../../../../src/errors.ts';
import { parseModuleId } from '../../../../../src/ids.ts';
import {
  HubIdentities,
  type HubIdentitiesClient,
} from '../../../../../src/modules/api/management/hub-identities.ts';
import { failureOf } from '../../../../support/failure.ts';
import { silentLog } from '../../../../support/log.ts';
import { via } from '../../../../support/via.ts';

const test = suite('identities of the hub');
const id = parseModuleId('sensor');
const ours = { module_id: 'sensor', generation_id: '1', key_id: 'iotedge/module-identities' };
const foreign = { module_id: 'camera', generation_id: '7', key_id: '' };

type Limited = { readonly timeoutMs?: number };
type ListInput = { readonly options?: { readonly refresh?: boolean } };

interface Setting {
  readonly saved?: readonly object[];
  readonly onHub?: readonly object[] | ErrorCode;
  readonly updated?: object;
  /** The error of a deletion. */
  readonly refused?: ErrorCode;
}

/** Identities with an Identity service that has those, and the calls that change something. */
function identitiesWith(setting: Setting = {}) {
  const { saved = [ours], onHub = [ours, foreign], updated = ours, refused } = setting;
  const changes: string[] = [];
  /** The time limits of the calls that wait for the hub. */
  const limits: (number | undefined)[] = [];
  const change = (method: string, result: object) => (input: object, by: Limited) => {
    if (by.timeoutMs !== undefined) limits.push(by.timeoutMs);
    changes.push(`${method} ${JSON.stringify(input)}`);
    return Promise.resolve(result);
  };
  const client = {
    ListModuleIdentities: async ({ options }: ListInput, by: Limited) => {
      if (options?.refresh !== true) return { identities: saved };
      limits.push(by.timeoutMs);
      if (typeof onHub === 'string') throw new ServiceError(onHub, 'the hub does not respond');
      return { identities: onHub };
    },
    GetModuleIdentity: async ({ module_id }: { module_id: string }) => {
      const identity = saved.find((one) => 'module_id' in one && one.module_id === module_id);
      if (identity === undefined) throw new ServiceError('NotFound', 'no');
      return { identity };
    },
    CreateModuleIdentity: change('Create', { identity: ours }),
    UpdateModuleIdentity: change('Update', { identity: updated }),
    DeleteModuleIdentity: (input: object, by: Limited) => {
      if (refused !== undefined) throw new ServiceError(refused, 'not now');
      return change('Delete', {})(input, by);
    },
    Reprovision: change('Reprovision', {}),
  } as unknown as HubIdentitiesClient; // the methods that are used
  const own = {
    release: (moduleId: string) => void changes.push(`release ${moduleId}`),
    reclaim: (moduleId: string) => void changes.push(`reclaim ${moduleId}`),
  };
  const identities = new HubIdentities({ client, identities: own, log: silentLog });
  return { identities, changes, limits };
}

test('are listed with their manager, those of other software without one', async () => {
  const { identities } = identitiesWith();
  assert.equal(await identities.list(via), [
    { moduleId: 'sensor', managedBy: 'iotedge', generationId: '1' },
    { moduleId: 'camera', managedBy: '', generationId: '7' },
  ]);
});

test('are the saved ones while the hub does not respond', async () => {
  const { identities } = identitiesWith({ onHub: 'Unavailable' });
  assert.equal(await identities.list(via), [
    { moduleId: 'sensor', managedBy: 'iotedge', generationId: '1' },
  ]);
});

test('are registered or adopted when an agent asks', async () => {
  const { identities, changes } = identitiesWith();
  await identities.create(id, via);
  const created = 'Create {"module_id":"sensor","options":{"adopt":true}}';
  assert.equal(changes, ['reclaim sensor', created]);
});

test('are updated only in the generation that the agent knows', async () => {
  const { identities, changes } = identitiesWith();
  assert.is((await identities.update(id, '1', via)).managedBy, 'iotedge');
  assert.is(await failureOf(identities.update(id, '2', via)), 'AlreadyExists');
  assert.is(await failureOf(identities.update(parseModuleId('absent'), '1', via)), 'NotFound');
  assert.is(await failureOf(identities.update(parseModuleId('camera'), '8', via)), 'AlreadyExists');
  assert.equal(changes, ['Update {"module_id":"sensor","options":{"adopt":true}}']);
});

test('report a generation that changed during the update', async () => {
  const { identities } = identitiesWith({ updated: { ...ours, generation_id: '2' } });
  assert.is(await failureOf(identities.update(id, '1', via)), 'AlreadyExists');
});

test('are deleted unless other software registered them', async () => {
  const { identities, changes } = identitiesWith();
  await identities.delete(id, via);
  assert.is(await failureOf(identities.delete(parseModuleId('camera'), via)), 'AlreadyExists');
  assert.is(await failureOf(identities.delete(parseModuleId('absent'), via)), 'NotFound');
  assert.equal(changes, ['release sensor', 'Delete {"module_id":"sensor"}']);
});

test('of modules that still run are not registered by the runtime once an agent deletes them', async () => {
  const { identities, changes } = identitiesWith({ refused: 'Unavailable' });
  assert.is(await failureOf(identities.delete(id, via)), 'Unavailable');
  assert.equal(changes, ['release sensor', 'reclaim sensor']);
});

test('wait for the hub for a limited time: a list for a short one, as the saved ones will do', async () => {
  const { identities, limits } = identitiesWith();
  await identities.list(via);
  assert.equal(limits.splice(0), [10_000]);
  await identities.create(id, via);
  await identities.update(id, '1', via);
  await identities.delete(id, via);
  assert.equal(limits, [120_000, 120_000, 120_000]);
});

test('do not wait for the device to be provisioned again', async () => {
  const { identities, changes } = identitiesWith();
  await identities.reprovision(via);
  assert.equal(changes, ['Reprovision {"options":{"wait":false}}']);
});

test.run();
