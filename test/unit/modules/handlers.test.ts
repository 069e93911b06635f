import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import type { CallContext } from '../../../src/dbus/server/call.ts';
import { isServiceError } from '../../../src/errors.ts';
import { parseModuleName } from '../../../src/ids.ts';
import { modulesResolvers } from '../../../src/modules/handlers.ts';
import { Cancellations } from '../../../src/service/operations/cancellations.ts';
import { Operations } from '../../../src/service/operations/operations.ts';
import { codeIn } from '../../support/failure.ts';
import { silentLog } from '../../support/log.ts';

const test = suite('what authorization of Modules1 is told');
const call: CallContext = {
  caller: { sender: ':1.7', uid: 1000, gids: [], pid: undefined },
  member: 'CreateModule',
  requestId: 'request',
  interactive: false,
  signal: new AbortController().signal,
  startedAt: 0,
};

const operations = new Operations({ nameOf: (id) => id, onChange: () => {}, log: silentLog });
const cancellations = new Cancellations();
const runtime = { operations, find: () => undefined };

/** What is told about a creation, or the code of the error. */
async function told(createOptions: object, env: Readonly<Record<string, string>> = {}) {
  const elevatedCalls = new WeakSet<CallContext>();
  const resolvers = modulesResolvers(runtime, {
    cancellations,
    elevatedCalls,
    isElevated: () => true,
  });
  const config_json = JSON.stringify({ image: 'a:1', createOptions });
  try {
    const args = { name: parseModuleName('sensor'), type: 'docker', config_json, env, options: {} };
    return await resolvers.CreateModule(args, call);
  } catch (error) {
    return codeIn(error);
  }
}

test('is the image and whether it is elevated', async () => {
  assert.equal(await told({}, { A: 'b' }), { image: 'a:1', elevated: 'true' });
});

test('is not asked about a configuration and an environment of more than 1 MiB together', async () => {
  const half = 'ä'.repeat(1 << 18);
  assert.equal(await told({ Cmd: [half] }, { A: 'b' }), { image: 'a:1', elevated: 'true' });
  assert.is(await told({ Cmd: [half] }, { A: half }), 'LimitsExceeded');
  assert.is(await told({}, { [half]: half }), 'LimitsExceeded');
});

test('is not asked about a variable without a name', async () => {
  assert.is(await told({}, { '': 'b' }), 'InvalidArgs');
  assert.is(await told({}, { 'A=B': 'c' }), 'InvalidArgs');
});

test('quotes no value that stands in the place of a name', async () => {
  for (const key of ['DB_PW=hunter2', 'A=B=hunter2', '=hunter2']) {
    const config_json = '{"image":"a:1"}';
    const args = {
      name: parseModuleName('sensor'),
      type: 'docker',
      config_json,
      env: { [key]: '' },
      options: {},
    };
    const resolvers = modulesResolvers(runtime, {
      cancellations,
      elevatedCalls: new WeakSet(),
      isElevated: () => false,
    });
    try {
      await resolvers.CreateModule(args, call);
      assert.unreachable();
    } catch (error) {
      assert.ok(isServiceError(error, 'InvalidArgs'));
      assert.not.match(error.message, 'hunter2');
    }
  }
});

test.run();
