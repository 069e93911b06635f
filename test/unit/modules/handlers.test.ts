import { setImmediate } from 'node:timers/promises';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import type { CallContext } from '../../../src/dbus/server/call.ts';
import { isServiceError } from '../../../src/errors.ts';
import { parseModuleName } from '../../../src/ids.ts';
import {
  type ModulesHandlersOptions,
  modulesHandlers,
  modulesResolvers,
} from '../../../src/modules/handlers.ts';
import type { ManagedModule } from '../../../src/modules/managed-module.ts';
import {
  moduleOperations,
  type OperationParts,
  resumeOperation,
} from '../../../src/modules/module-operations.ts';
import type { ModuleRuntime } from '../../../src/modules/service.ts';
import type { LogEntry } from '../../../src/modules/supervisor/module-type.ts';
import { Cancellations } from '../../../src/service/operations/cancellations.ts';
import { Operations } from '../../../src/service/operations/operations.ts';
import { codeIn, failureOf } from '../../support/failure.ts';
import { silentLog } from '../../support/log.ts';

const test = suite('authorization details of Modules1');
const call: CallContext = {
  caller: { sender: ':1.7', uid: 1000, gids: [], pid: undefined },
  member: 'CreateModule',
  requestId: 'request',
  interactive: false,
  signal: new AbortController().signal,
  cancellation: new AbortController().signal,
  startedAt: 0,
};

const operations = new Operations({ nameOf: (id) => id, onChange: () => {}, log: silentLog });
const cancellations = new Cancellations();
const runtime = { operations, find: () => undefined };

/** Authorization details of a creation, or the code of the error. */
async function detailsOf(createOptions: object, env: Readonly<Record<string, string>> = {}) {
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

test('are the image and whether it is elevated', async () => {
  assert.equal(await detailsOf({}, { A: 'b' }), { image: 'a:1', elevated: 'true' });
});

test('are not produced for a configuration and an environment of more than 1 MiB together', async () => {
  const half = 'ä'.repeat(1 << 18);
  assert.equal(await detailsOf({ Cmd: [half] }, { A: 'b' }), { image: 'a:1', elevated: 'true' });
  assert.is(await detailsOf({ Cmd: [half] }, { A: half }), 'LimitsExceeded');
  assert.is(await detailsOf({}, { [half]: half }), 'LimitsExceeded');
});

test('are not produced for a variable without a name', async () => {
  assert.is(await detailsOf({}, { '': 'b' }), 'InvalidArgs');
  assert.is(await detailsOf({}, { 'A=B': 'c' }), 'InvalidArgs');
});

test('do not quote a value in the place of a name', async () => {
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

test('of a cancellation are those of what is pulled for an update', () => {
  const settings = { image: 'a:1', createOptions: {}, auth: undefined };
  const args = { name: parseModuleName('sensor'), settings, env: {}, elevated: true };
  const operation = { verb: 'PrepareUpdate', args };
  const resolvers = modulesResolvers(
    { operations: { current: () => operation } } as unknown as ModuleRuntime, // nothing else of it is used
    { cancellations, elevatedCalls: new WeakSet(), isElevated: () => false },
  );
  assert.equal(resolvers.Cancel({ id: args.name, options: {} }, call), {
    operation: 'PrepareUpdate',
    type: 'docker',
    image: 'a:1',
    elevated: 'true',
  });
});

test('of GetLogs are followed by the last 4 MiB of a log', async () => {
  async function* entries(): AsyncGenerator<readonly LogEntry[]> {
    for (let line = 0; line < 80; line++) {
      const text = Buffer.from(`${line}`.padEnd(64_999).concat('\n'));
      yield [{ stream: 'stdout', time: '', text }];
    }
  }
  const log = async () => ({ isTerminal: false, entries: entries() });
  const kinds = moduleOperations({} as OperationParts); // none is carried out
  const handlers = modulesHandlers(
    { operations, kinds, log } as unknown as ModuleRuntime, // nothing else of it is used
    {} as ModulesHandlersOptions,
  );
  const reply = await handlers.GetLogs({ name: parseModuleName('sensor'), options: {} }, call);
  assert.is(reply.log.length, Math.floor((4 << 20) / 65_000) * 65_000);
  assert.is(reply.log.toString().slice(0, 2), '16');
});

test('of a deletion are joined with those of the one that the previous process accepted', async () => {
  const resumed = new Operations({ nameOf: (id) => id, onChange: () => {}, log: silentLog });
  const name = parseModuleName('sensor');
  let end = (): void => undefined;
  const reached = new Promise<void>((resolve) => (end = resolve));
  const desired = {
    goal: 'erased',
    operation: { verb: 'DeleteModule' },
    settle: () => Promise.resolve(),
  };
  // the parts that a deletion uses
  const module = {
    name,
    supervisor: { desired, reach: () => reached },
  } as unknown as ManagedModule;
  const parts = { require: () => module, find: () => module, mayDelete: () => {} };
  const kinds = moduleOperations(parts as unknown as OperationParts);
  resumeOperation(resumed, kinds, module);
  const handlers = modulesHandlers(
    { operations: resumed, kinds } as unknown as ModuleRuntime, // nothing else of it is used
    {} as ModulesHandlersOptions,
  );
  const deletion = (identity: boolean) =>
    failureOf(Promise.resolve(handlers.DeleteModule({ name, options: { identity } }, call)));
  const other = deletion(false);
  const same = deletion(true);
  await setImmediate();
  end();
  assert.equal([await other, await same], ['Unavailable', 'no failure']);
});

test.run();
