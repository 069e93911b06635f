import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import type { Bus } from '../../src/dbus/bus.ts';
import type {
  Authorization,
  MethodDefinition,
  ServiceDefinition,
} from '../../src/dbus/definition.ts';
import { variant } from '../../src/dbus/variant.ts';
import { ServiceError } from '../../src/errors.ts';
import { certificatesService } from '../../src/interfaces/certificates.ts';
import { identityService } from '../../src/interfaces/identity.ts';
import { keysService } from '../../src/interfaces/keys.ts';
import { modulesService } from '../../src/interfaces/modules.ts';
import { Rig } from '../support/rig.ts';

const services: readonly ServiceDefinition[] = [
  keysService,
  certificatesService,
  identityService,
  modulesService,
];

/** Values that pass every check of shape, as gdbus spells them. */
const gvariants: Readonly<Record<string, string>> = {
  s: "'sample'",
  as: '@as []',
  ay: '[byte 0x01]',
  u: 'uint32 1',
  'a{ss}': '@a{ss} {}',
};
const special: Readonly<Record<string, string>> = {
  config_json: `'{"image": "localhost/sample:1"}'`,
  type: "'docker'",
};

function methodsOf(service: ServiceDefinition): readonly (readonly [string, MethodDefinition])[] {
  return Object.entries(service.manager.methods ?? {});
}

/** Whether polkit says yes to everybody unless an administrator says otherwise. */
function isAllowedByDefault(service: ServiceDefinition, authorize: Authorization): boolean {
  if (authorize === 'public' || !('action' in authorize)) return false;
  const { action } = authorize;
  return typeof action === 'string' && service.actions[action]?.defaults?.any === 'yes';
}

function sampleOf([name, type]: readonly [string, string]): string {
  const value = special[name] ?? gvariants[type];
  if (value === undefined) throw new Error(`no sample of type ${type}`);
  return value;
}

async function codeOf(call: Promise<unknown>): Promise<string> {
  try {
    await call;
  } catch (error) {
    return error instanceof ServiceError ? error.code : String(error);
  }
  return 'no error';
}

function callAs(
  bus: Bus,
  service: ServiceDefinition,
  call: { readonly member: string; readonly signature: string; readonly body: readonly unknown[] },
): Promise<unknown> {
  return bus.call({
    destination: service.busName,
    path: service.path,
    interface: service.manager.name,
    ...call,
  });
}

const test = suite<{ rig: Rig; bus: Bus }>('every method of every service');

test.before(async (context) => {
  context.rig = await Rig.start();
  context.bus = await context.rig.connect();
});
test.after(async ({ rig, bus }) => {
  await bus.close();
  await rig[Symbol.asyncDispose]();
});

for (const service of services) {
  test(`of ${service.busName} is denied to a user without a grant, unless it is public`, async ({
    rig,
  }) => {
    for (const [member, { in: fields, authorize }] of methodsOf(service)) {
      if (authorize === 'public' || isAllowedByDefault(service, authorize)) continue;
      const args = [...Object.entries(fields ?? {}).map(sampleOf), '@a{sv} {}'];
      const method = `${service.manager.name}.${member}`;
      const { code, stderr } = await rig.gdbus(
        [
          'call',
          '--dest',
          service.busName,
          '--object-path',
          service.path,
          '--method',
          method,
        ].concat(args),
        'alice',
      );
      assert.is.not(code, 0, `${member} was allowed`);
      assert.match(stderr, 'org.freedesktop.DBus.Error.AccessDenied', `${member}: ${stderr}`);
    }
  });

  test(`of ${service.busName} answers InvalidArgs for the wrong types, and for an unknown option`, async ({
    bus,
  }) => {
    for (const [member, { in: fields = {} }] of methodsOf(service)) {
      const wrong = { member, signature: 'i', body: [5] };
      assert.is(await codeOf(callAs(bus, service, wrong)), 'InvalidArgs', member);
      const values: Readonly<Record<string, unknown>> = {
        s: 'sample',
        as: [],
        ay: Buffer.alloc(1),
        u: 1,
        'a{ss}': {},
      };
      const unknown = {
        member,
        signature: `${Object.values(fields).join('')}a{sv}`,
        body: [...Object.values(fields).map((type) => values[type]), { odd: variant('s', 'x') }],
      };
      assert.is(await codeOf(callAs(bus, service, unknown)), 'InvalidArgs', member);
    }
  });

  test(`of ${service.busName} is introspected with the names of its arguments`, async ({ rig }) => {
    const { stdout } = await rig.gdbus([
      'introspect',
      '--dest',
      service.busName,
      '--object-path',
      service.path,
      '--xml',
    ]);
    for (const [member, { in: fields = {} }] of methodsOf(service)) {
      assert.match(stdout, `<method name="${member}">`);
      for (const name of Object.keys(fields)) assert.match(stdout, `name="${name}"`);
    }
    for (const name of Object.keys(service.manager.properties ?? {})) {
      assert.match(stdout, `<property name="${name}"`);
    }
  });
}

test.run();
