import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { ServiceError } from '../../../../src/errors.ts';
import { unrecordedAgents } from '../../../../src/modules/registry/former-agents.ts';
import type { Records } from '../../../../src/modules/registry/records.ts';
import type { Instance } from '../../../../src/modules/supervisor/module-type.ts';
import { silentLog } from '../../../support/log.ts';

const test = suite('agents without a record');
const signal = new AbortController().signal;
const socketsPath = '/var/lib/iotedge/modules/mnt';

/** What is found of one instance. */
async function found(
  instance: Partial<Instance>,
  { isKnown = false, isRecorded = false, isReadable = true, name = 'edgeAgent' } = {},
): Promise<string> {
  const whole = { id: 'c1', ours: true, agentSockets: socketsPath, ...instance } as Instance;
  const failure = isReadable ? undefined : new Error('unreadable');
  const records = { has: () => isRecorded, modules: { failure } } as unknown as Records;
  const type = { list: () => Promise.resolve([name]), inspect: () => Promise.resolve(whole) };
  const options = { type, records, socketsPath, isKnown: () => isKnown, log: silentLog };
  return (await unrecordedAgents(options, signal)).join();
}

test('are those that were given the directory of our sockets', async () => {
  assert.is(await found({}), 'edgeAgent');
  assert.is(await found({ agentSockets: undefined }), '');
  assert.is(await found({ agentSockets: '/var/lib/other/mnt' }), '');
  assert.is(await found({ ours: false }), '');
  assert.is(await found({}, { name: 'no name' }), '');
});

test('are none of the modules, and none whose record is unreadable', async () => {
  assert.is(await found({}, { isKnown: true }), '');
  assert.is(await found({}, { isRecorded: true }), '');
  assert.is(await found({}, { isReadable: false }), '');
});

test('are not found while the engine is away', async () => {
  const away = () => Promise.reject(new ServiceError('Unavailable', 'away'));
  const records = { has: () => false, modules: { failure: undefined } } as unknown as Records;
  const parts = { type: { list: away, inspect: away }, records, isKnown: () => false };
  assert.equal(await unrecordedAgents({ ...parts, socketsPath, log: silentLog }, signal), []);
});

test.run();
