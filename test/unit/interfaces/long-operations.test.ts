/** Checks the declarations of long operations in the interface tables. */
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import {
  type MethodDefinition,
  polkitChecksOf,
  type ServiceDefinition,
} from '../../../src/dbus/definition.ts';
import { Method } from '../../../src/dbus/server/method.ts';
import { certificatesService } from '../../../src/interfaces/certificates.ts';
import { identityService } from '../../../src/interfaces/identity.ts';
import { keysService } from '../../../src/interfaces/keys.ts';
import { modulesService } from '../../../src/interfaces/modules.ts';

const test = suite('long operations in the interface tables');
const services: readonly ServiceDefinition[] = [
  keysService,
  certificatesService,
  identityService,
  modulesService,
];

function methodsOf({
  manager,
}: ServiceDefinition): readonly (readonly [string, MethodDefinition])[] {
  return Object.entries(manager.methods ?? {});
}

function actionsOf({ authorize }: MethodDefinition) {
  return polkitChecksOf(authorize).map(({ action }) => action);
}

for (const service of services) {
  const long = methodsOf(service).filter(([, { long }]) => long === true);

  test(`of ${service.name} have the option wait, and no other methods have it`, () => {
    const waiting = methodsOf(service).filter(([, { options }]) => options?.['wait'] === 'b');
    assert.equal(
      waiting.map(([name]) => name),
      long.map(([name]) => name),
    );
    for (const [name, definition] of long) assert.ok(new Method(name, definition).waits, name);
  });

  if (long.length === 0) continue;

  test(`of ${service.name} can be cancelled by the callers that may begin them, each by its own action`, () => {
    const cancel = service.manager.methods?.['Cancel'];
    const authorize = cancel?.authorize;
    assert.ok(cancel !== undefined && typeof authorize === 'object' && 'among' in authorize);
    const verbs = Object.keys(authorize.among).filter((verb) => verb !== '');
    assert.equal(verbs.toSorted(), long.map(([name]) => name).toSorted());
    const method = new Method('Cancel', cancel);
    const actionsFor = (operation: string) =>
      method.requests.about({ id: 'x', operation }).map(({ action }) => action);
    for (const [name, definition] of long) {
      const found = actionsFor(name);
      const wanted = actionsOf(definition);
      assert.is(found.length, wanted.length, name);
      for (const [at, action] of wanted.entries()) {
        const actions = typeof action === 'string' ? [action] : action.oneOf;
        assert.ok(actions.includes(found[at] ?? ''), `${name}: ${found[at]}`);
      }
    }
    assert.is(actionsFor('').length, 1, 'without an operation');
    assert.throws(() => actionsFor('Unheard'), /not one of the checks/);
    assert.throws(() => method.requests.about({ id: 'x' }), /not resolved/);
  });
}

test.run();
