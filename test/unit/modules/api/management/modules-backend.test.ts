import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { ServiceError } from '../../../../../src/errors.ts';
import { parseModuleName } from '../../../../../src/ids.ts';
import { modulesManagement } from '../../../../../src/modules/api/management/modules-backend.ts';
import {
  parseSettings,
  restartedByAgent,
  restartPolicyOf,
} from '../../../../../src/modules/docker/create-options/create-options.ts';
import type { ModuleSource } from '../../../../../src/modules/module-source.ts';
import { Operation } from '../../../../../src/service/operations/operation.ts';
import { failureOf } from '../../../../support/failure.ts';

const test = suite('what an agent may run');
type Runtime = Parameters<typeof modulesManagement>[0];
const spec = {
  name: parseModuleName('sensor'),
  settings: parseSettings({ image: 'localhost/a:1' }),
  env: {},
};

/** Management with a configuration that allows, or forbids, elevated modules. */
function management(allowsElevated: boolean, isElevated: boolean) {
  const checked: ModuleSource[] = [];
  const backend = modulesManagement({} as unknown as Runtime, {
    // nothing of the runtime is used
    isElevated: () => isElevated,
    configuredAgent: () => undefined,
    refuseUnconfined: (source) => {
      checked.push(source);
      if (source.elevated && !allowsElevated) throw new ServiceError('AccessDenied', 'no');
      return Promise.resolve();
    },
  });
  return { backend, checked };
}

test('is checked against the configuration like the modules of others', async () => {
  const { backend, checked } = management(false, false);
  assert.is((await backend.admit(spec)).elevated, false);
  assert.equal(
    checked.map(({ name, elevated }) => [name, elevated]),
    [['sensor', false]],
  );
});

test('is elevated only where the configuration allows that', async () => {
  assert.is((await management(true, true).backend.admit(spec)).elevated, true);
  assert.is(await failureOf(management(false, true).backend.admit(spec)), 'AccessDenied');
});

for (const [sent, configured, policy] of [
  [{}, {}, 'always'],
  [{}, { restart_policy: 'on-failure' }, 'on-failure'],
  [{}, { createOptions: { HostConfig: { RestartPolicy: { Name: 'no' } } } }, 'never'],
  [{ HostConfig: { RestartPolicy: { Name: 'on-failure' } } }, {}, 'on-failure'],
] as const) {
  test(`leaves the restart of the agent to the runtime, as ${policy}`, async () => {
    const { image } = spec.settings;
    const more = { start_after: ['proxy'], aliases: ['manager'] };
    const agent = { ...spec, settings: parseSettings({ image, ...more, ...configured }) };
    const backend = modulesManagement({} as unknown as Runtime, {
      // nothing of the runtime is used
      isElevated: () => false,
      configuredAgent: (name) => (name === spec.name ? { ...agent, elevated: false } : undefined),
      refuseUnconfined: () => Promise.resolve(),
    });
    const requested = restartedByAgent(parseSettings({ image: 'b:2', createOptions: sent }));
    const { settings, base } = await backend.admit({ ...spec, settings: requested });
    assert.is(restartPolicyOf(settings), policy);
    assert.is(settings.image, 'b:2');
    assert.equal([settings.startAfter, settings.aliases], [['proxy'], ['manager']]);
    assert.type(base, 'string');
    const other = { ...spec, name: parseModuleName('filter'), settings: requested };
    assert.equal((await backend.admit(other)).settings, requested);
  });
}

test('is stopped by an agent until the update that follows', async () => {
  const begun: unknown[] = [];
  const runtime = {
    kinds: { start: 'start', stop: 'stop' },
    operations: {
      begin: (kind: string, { args }: { readonly args: object }) => {
        begun.push([kind, args]);
        return Promise.resolve({ outcome: Promise.resolve() });
      },
    },
  } as unknown as Runtime; // the parts that actions use
  const parts = { isElevated: () => false, configuredAgent: () => undefined };
  const backend = modulesManagement(runtime, {
    ...parts,
    refuseUnconfined: () => Promise.resolve(),
  });
  const by = { requestId: 'r', signal: new AbortController().signal };
  for (const action of ['stop', 'start'] as const) await backend.act(action, spec.name, by);
  assert.equal(begun, [
    ['stop', { resumes: true }],
    ['start', {}],
  ]);
});

test('is waited for by no client any more that has left', async () => {
  const operation = new Operation<object, void>({
    verb: 'Stop',
    id: 'sensor',
    args: {},
    requestId: 'r',
  });
  operation.join({ wait: true });
  const runtime = {
    kinds: { stop: 'stop' },
    operations: { begin: () => Promise.resolve(operation) },
  } as unknown as Runtime; // the parts that actions use
  const backend = modulesManagement(runtime, {
    isElevated: () => false,
    configuredAgent: () => undefined,
    refuseUnconfined: () => Promise.resolve(),
  });
  const client = new AbortController();
  const stopped = failureOf(
    backend.act('stop', spec.name, { requestId: 'r', signal: client.signal }),
  );
  assert.ok(operation.isAwaited);
  client.abort(new ServiceError('Cancelled', 'it has left'));
  assert.is(await stopped, 'Cancelled');
  assert.not.ok(operation.isAwaited);
});

test.run();
