/** What holds for every method of the four services, taken from the tables that state them. */
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import {
  type Authorization,
  type MethodDefinition,
  questionsOf,
} from '../../src/dbus/definition.ts';
import { variant } from '../../src/dbus/variant.ts';
import { isServiceError } from '../../src/errors.ts';
import { introspected } from '../support/introspection.ts';
import { Rig } from '../support/rig.ts';
import { type ServiceName, services } from '../support/rig-services.ts';

const names = Object.keys(services) as ServiceName[];

/** Arguments that pass every check of shape; the rest are made from their types. */
const plausible: Readonly<Record<string, string>> = {
  key_id: "'some-key'",
  new_key_id: "'other-key'",
  certificate_id: "'some-certificate'",
  module_id: "'some-module'",
  name: "'some-module'",
  id: "'some-module'",
  config_json: '\'{"image":"localhost/x:1"}\'',
  audience: "''",
};

const byType: Readonly<Record<string, string>> = {
  s: "'x'",
  u: 'uint32 1',
  as: '@as []',
  ay: '@ay [1]',
  'a{ss}': '@a{ss} {}',
  'a{sv}': '@a{sv} {}',
};

const values: Readonly<Record<string, unknown>> = {
  s: 'x',
  u: 1,
  as: [],
  ay: Buffer.alloc(1),
  'a{ss}': {},
};

/** A word that a text of an enumeration can be. */
function wordFor({ check = {}, in: fields = {} }: MethodDefinition, name: string) {
  const limit = check[name];
  if (typeof limit !== 'object' || !('oneOf' in limit) || fields[name] !== 's') return undefined;
  return `'${limit.oneOf[0]}'`;
}

/** The words of a gdbus call of a method. */
function gdbusCall(service: ServiceName, member: string, method: MethodDefinition): string[] {
  const { busName, path, manager } = services[service];
  const args = Object.entries({ ...method.in, options: 'a{sv}' }).map(
    ([name, type]) => plausible[name] ?? wordFor(method, name) ?? byType[type] ?? '',
  );
  const target = ['--dest', busName, '--object-path', path];
  return ['call', ...target, '--method', `${manager.name}.${member}`, ...args];
}

function methodsOf(service: ServiceName): readonly (readonly [string, MethodDefinition])[] {
  return Object.entries(services[service].manager.methods ?? {});
}

/** Whether polkit lets everybody do what a method asks for. */
function isGrantedByDefault(service: ServiceName, authorize: Authorization): boolean {
  if (authorize === 'public') return true;
  return questionsOf(authorize)
    .flatMap(({ action }) => (typeof action === 'string' ? [action] : action.oneOf))
    .every((action) => services[service].actions[action]?.defaults?.any === 'yes');
}

for (const service of names) {
  const test = suite(`methods of ${service}`);
  let rig: Rig;
  test.before(async () => {
    rig = await Rig.start();
  });
  test.after(() => rig[Symbol.asyncDispose]());

  for (const [member, method] of methodsOf(service)) {
    const { busName: destination, path, manager } = services[service];
    const call = { destination, path, interface: manager.name, member };

    test(`refuses a malformed ${member}`, async () => {
      await using bus = await rig.connect();
      const wrong = { ...call, signature: 'du', body: [1.5, 1] };
      const error: unknown = await bus.call(wrong).catch((reason: unknown) => reason);
      assert.ok(isServiceError(error, 'InvalidArgs'), String(error));
    });

    test(`refuses ${member} with an option that it does not have`, async () => {
      await using bus = await rig.connect();
      const fields = Object.values(method.in ?? {});
      const body = [...fields.map((type) => values[type]), { odd: variant('s', 'x') }];
      const odd = { ...call, signature: `${fields.join('')}a{sv}`, body };
      const error: unknown = await bus.call(odd).catch((reason: unknown) => reason);
      assert.ok(isServiceError(error, 'InvalidArgs'), String(error));
      assert.match(String(error), 'odd');
    });

    if (method.authorize === 'public') continue;

    test(`lets an operator get past authorization of ${member}`, async () => {
      const { stderr } = await rig.gdbus(gdbusCall(service, member, method), 'operator');
      assert.not.match(stderr, /org\.freedesktop\.DBus\.Error\.(AccessDenied|Interactive)/);
    });

    if (isGrantedByDefault(service, method.authorize)) continue;

    test(`refuses ${member} to somebody without a grant`, async () => {
      const { code, stderr } = await rig.gdbus(gdbusCall(service, member, method), 'alice');
      assert.is(code, 1);
      assert.match(stderr, 'org.freedesktop.DBus.Error.AccessDenied');
    });
  }

  test('shows argument names and properties in introspection', async () => {
    await introspected(rig, service);
    const { busName, path } = services[service];
    const { stdout } = await rig.gdbus(['introspect', '--dest', busName, '--object-path', path]);
    assert.match(stdout, 'in  a{sv} options');
    assert.match(stdout, "readonly s Version = '");
  });

  test('keeps its read-only properties', async () => {
    const { busName, path, manager } = services[service];
    const set = ['set-property', busName, path, manager.name, 'Health', 's', 'hacked'];
    assert.is((await rig.busctl(set)).code, 1);
    const get = ['get-property', busName, path, manager.name, 'Health'];
    assert.not.match((await rig.busctl(get)).stdout, 'hacked');
  });

  test.run();
}
