/** Checks for every method of the four services, generated from the interface tables. */
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import type { MethodDefinition } from '../../src/dbus/definition.ts';
import { variant } from '../../src/dbus/wire/variant.ts';
import { isServiceError } from '../../src/errors.ts';
import { introspected } from '../support/clients/introspection.ts';
import { Rig } from '../support/rig/rig.ts';
import { type ServiceName, services } from '../support/rig/rig-services.ts';

const names = Object.keys(services) as ServiceName[];

/** Arguments that pass every validation; the others are generated from their types. */
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

const notFound = /org\.iotedge\.Error\.NotFound: no key "some-key"/;
/** The first bytes of PEM. */
const exported = /^\(\[byte 0x2d, 0x2d, 0x2d/m;
const noCloud = /org\.iotedge\.Error\.Unavailable: 127\.0\.0\.1:1: /;
const notProvisioned = /org\.iotedge\.Error\.NotProvisioned: the device is not provisioned/;
const noEngine = /org\.iotedge\.Error\.Unavailable: the container engine at .* cannot be reached/;
const beingRemoved = /org\.iotedge\.Error\.Unavailable: module "some-module" is being removed/;
const notInProgress =
  /org\.iotedge\.Error\.NotFound: no operation of module "some-module" is in progress/;

/** The result of each method for an authorized call, one after the other, without a cloud and an engine. */
const results: Readonly<Record<ServiceName, Readonly<Record<string, RegExp>>>> = {
  keys: {
    CreateKeyPair: /^\(objectpath '\/org\/iotedge\/Keys1\/key\/some_2dkey',\)$/m,
    CreateKey: /org\.iotedge\.Error\.AlreadyExists: key "some-key" exists already/,
    ImportKey: /Error\.InvalidArgs: 1 bytes are not a raw key of aes-256/,
    DeleteKey: /^\(\)$/m,
    Sign: notFound,
    Verify: notFound,
    Encrypt: notFound,
    Decrypt: notFound,
    ExportKey: notFound,
  },
  certificates: {
    Issue: /Error\.InvalidArgs: the CSR is not DER/,
    Enroll: /^\(objectpath '.*\/some_2dcertificate',\)$/m,
    Renew: /^\(objectpath '.*\/some_2dcertificate',\)$/m,
    Cancel: /Error\.NotFound: no operation of the certificate "some-module" is in progress/,
    ImportCertificate: /Error\.InvalidArgs: the data is not PEM/,
    ExportCertificate: exported,
    DeleteCertificate: /^\(\)$/m,
  },
  identity: {
    Provision: noCloud,
    Reprovision: noCloud,
    CreateModuleIdentity: notProvisioned,
    UpdateModuleIdentity: notProvisioned,
    DeleteModuleIdentity: notProvisioned,
    CreateSasToken: /org\.iotedge\.Error\.NotFound: no module identity "some-module"/,
    Cancel: notInProgress,
  },
  modules: {
    CreateModule: noEngine,
    UpdateModule: beingRemoved,
    PrepareUpdate: noEngine,
    Start: beingRemoved,
    Stop: beingRemoved,
    Restart: beingRemoved,
    DeleteModule: noEngine,
    GetConfig: /^\('{"image":"localhost\/x:1","createOptions":{}}',\)$/m,
    GetLogs: noEngine,
    OpenLog: noEngine,
    Cancel: notInProgress,
  },
};

/** A valid word for a text with an enumeration. */
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

for (const service of names) {
  const test = suite(`methods of ${service}`);
  let rig: Rig;
  test.before(async () => {
    // nothing listens there: no call leaves this machine
    const provisioning = { global_endpoint: 'https://127.0.0.1:1' };
    rig = await Rig.start({ settings: { identity: { provisioning } } });
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

    test(`refuses ${member} with an unknown option`, async () => {
      await using bus = await rig.connect();
      const fields = Object.values(method.in ?? {});
      const body = [...fields.map((type) => values[type]), { odd: variant('s', 'x') }];
      const odd = { ...call, signature: `${fields.join('')}a{sv}`, body };
      const error: unknown = await bus.call(odd).catch((reason: unknown) => reason);
      assert.ok(isServiceError(error, 'InvalidArgs'), String(error));
      assert.match(String(error), 'odd');
    });

    if (method.authorize === 'public') continue;

    test(`authorizes ${member} for an operator`, async () => {
      const { stderr, stdout } = await rig.gdbus(gdbusCall(service, member, method), 'operator');
      assert.match(`${stdout}${stderr}`, results[service][member] ?? /^$/);
    });

    if (member === 'ExportCertificate') {
      test('authorizes ExportCertificate for every user', async () => {
        const { stdout } = await rig.gdbus(gdbusCall(service, member, method), 'alice');
        assert.match(stdout, exported);
      });
      continue;
    }

    test(`refuses ${member} to a user without a grant`, async () => {
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

  test('refuses to set its read-only properties', async () => {
    const { busName, path, manager } = services[service];
    const set = ['set-property', busName, path, manager.name, 'Health', 's', 'hacked'];
    assert.is((await rig.busctl(set)).code, 1);
    const get = ['get-property', busName, path, manager.name, 'Health'];
    assert.not.match((await rig.busctl(get)).stdout, 'hacked');
  });

  test.run();
}
