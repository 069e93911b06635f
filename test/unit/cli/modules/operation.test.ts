import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { exitCodes } from '../../../../src/cli/command.ts';
import { type ModuleView, moduleView } from '../../../../src/cli/modules/module-view.ts';
import { carryOut, type OperationRuntime } from '../../../../src/cli/modules/operation.ts';
import { ServiceError } from '../../../../src/errors.ts';

const test = suite('an operation on a module');

type Found = ModuleView | undefined | ServiceError;

function module(properties: Readonly<Record<string, unknown>>): ModuleView {
  return moduleView({ Name: 'sensor', ...properties });
}

/** A runtime that is found in these states one after the other, each announced by a signal. */
function runtimeIn(states: readonly Found[]): OperationRuntime {
  const rest = [...states];
  let announce = (): void => undefined;
  return {
    bus: {
      subscribe(_match, listener) {
        announce = () =>
          listener({
            sender: ':1.1',
            path: '/org/iotedge/Modules1/module/sensor',
            interface: 'org.freedesktop.DBus.Properties',
            member: 'PropertiesChanged',
            signature: '',
            body: [],
          });
        return Promise.resolve({ [Symbol.asyncDispose]: () => Promise.resolve() });
      },
    },
    call: () => Promise.resolve(undefined as never),
    find() {
      const found = rest.length > 1 ? rest.shift() : rest[0];
      setImmediate(announce);
      return found instanceof ServiceError ? Promise.reject(found) : Promise.resolve(found);
    },
  };
}

function stop(runtime: OperationRuntime) {
  const printed: string[] = [];
  const context = {
    bus: () => Promise.reject(new TypeError('not used')),
    positionals: [],
    options: { 'no-ask-password': true },
    print: (text: string) => void printed.push(text),
    note: () => undefined,
  };
  const operation = { verb: 'Stop', name: 'sensor', begin: () => Promise.resolve() } as const;
  return { printed, outcome: carryOut(runtime, context, operation) };
}

const running = module({ State: 'running' });
const stopping = module({ State: 'stopping', Operation: 'Stop' });
const stopped = module({ State: 'stopped' });

test('goes on while the runtime restarts', async () => {
  const away = new ServiceError('Unavailable', 'the Module Runtime is restarting');
  const { outcome, printed } = stop(runtimeIn([running, stopping, away, stopping, stopped]));
  assert.is((await outcome).code, exitCodes.ok);
  assert.equal(printed, ['sensor: stopped']);
});

test('fails when the runtime refuses to show the module', async () => {
  const denied = new ServiceError('AccessDenied', 'not allowed');
  const { outcome, printed } = stop(runtimeIn([running, stopping, denied, stopped]));
  assert.is(await outcome.catch((error: unknown) => error), denied);
  assert.equal(printed, []);
});

test.run();
