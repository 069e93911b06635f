import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import type { InterfaceDefinition, ServiceDefinition } from '../../src/dbus/definition.ts';
import { certificatesService } from '../../src/interfaces/certificates.ts';
import { identityService } from '../../src/interfaces/identity.ts';
import { keysService } from '../../src/interfaces/keys.ts';
import { modulesService } from '../../src/interfaces/modules.ts';
import { Rig } from '../support/rig/rig.ts';
import type { RigUser } from '../support/rig/rig-users.ts';

const test = suite('secrets in the wrong place');

/** Keys whose URIs have every form of a query, none of which exist. */
const keySettings = {
  'preloaded_key:value': 'pkcs11:slot-id=0;object=absent?pin-value=SECRET1',
  'preloaded_key:spaces': 'pkcs11:token=no such token;object=a b?pin-value=SECRET1 2',
  'preloaded_key:encoded': 'pkcs11:token=x%3Fpin-value%3DSECRET1;object=a',
  'preloaded_key:source': 'pkcs11:token=none;object=a?pin-source=file:/no/such/file',
  'preloaded_key:file': 'file:///no/such/file?pin-value=SECRET1',
};
const managers: readonly ServiceDefinition[] = [
  keysService,
  certificatesService,
  identityService,
  modulesService,
];

let rig: Rig;

test.before(async () => {
  rig = await Rig.start({ settings: { keys: keySettings } });
});
test.after(async () => {
  await rig[Symbol.asyncDispose]();
});

async function replyTo(user: RigUser, words: readonly string[]): Promise<string> {
  const { stdout, stderr } = await rig.busctl(words, user);
  return stdout + stderr;
}

/** An argument or option of a type that contains this text, as busctl reads it. */
function words(type: string, text: string): readonly string[] {
  switch (type) {
    case 's':
      return [text];
    case 'as':
      return ['1', text];
    case 'a{ss}':
      return ['1', text, text];
    case 'ay':
      return ['1', '0'];
    default:
      return ['0'];
  }
}

/** Calls of every method with the text in each text argument, then in each option, then as an option. */
function* callsWith(manager: InterfaceDefinition, text: string): Generator<readonly string[]> {
  for (const [method, { in: inputs = {}, options = {} }] of Object.entries(manager.methods ?? {})) {
    const fields = Object.entries(inputs);
    const signature = [...fields.map(([, type]) => type), 'a{sv}'].join('');
    const fill = (bad: string): readonly string[] =>
      fields.flatMap(([name, type]) => words(type, name === bad ? text : 'x'));
    for (const [name, type] of fields) {
      if (type === 's' || type === 'as' || type === 'a{ss}')
        yield [method, signature, ...fill(name), '0'];
    }
    for (const [name, type] of Object.entries(options)) {
      if (type === 's') yield [method, signature, ...fill(''), '1', name, 's', text];
    }
    yield [method, signature, ...fill(''), '1', text, 's', text];
  }
}

for (const { name, busName, path, manager } of managers) {
  test(`reach neither the caller nor the log through a method of ${name}`, async () => {
    for (const text of [
      'pkcs11:token=a;object=b?pin-value=SECRET1',
      'HostName=h;SharedAccessKey=SECRET1',
    ]) {
      for (const [method = '', ...args] of callsWith(manager, text)) {
        const reply = await replyTo('operator', [
          'call',
          busName,
          path,
          manager.name,
          method,
          ...args,
        ]);
        assert.not.match(reply, 'SECRET1', `${method} ${args.join(' ')}`);
      }
    }
    assert.not.match(await rig.log(name as 'keys'), 'SECRET1');
  });
}

test('of the configuration are in no property, in no description and in no error', async () => {
  const { busName, path, manager } = keysService;
  const ids = Object.keys(keySettings).map((key) => key.slice('preloaded_key:'.length));
  const described = await replyTo('alice', [
    'call',
    busName,
    path,
    manager.name,
    'Describe',
    'a{sv}',
    '0',
  ]);
  const tree = ['org.freedesktop.DBus.ObjectManager', 'GetManagedObjects', ''];
  const objects = await replyTo('alice', ['call', busName, path, ...tree]);
  for (const id of ids) assert.match(described, id);
  const property = ['get-property', busName, path, manager.name, 'Health', 'LastError'];
  const properties = await replyTo('alice', property);
  assert.match(properties, 'degraded');
  const errors: string[] = [];
  for (const id of ids) {
    for (const [member, ...args] of [
      ['GetPublicKey', 'sa{sv}', id, '0'],
      ['Sign', 'ssaya{sv}', id, 'ed25519', '1', '0', '0'],
      ['DeleteKey', 'sa{sv}', id, '0'],
    ] as const) {
      errors.push(
        await replyTo('operator', ['call', busName, path, manager.name, member, ...args]),
      );
    }
  }
  for (const error of errors) assert.match(error, 'Call failed');
  const all = [described, objects, properties, ...errors, await rig.log('keys')].join('\n');
  // busctl prints … as escapes
  assert.not.match(all, /SECRET1|pin-value=(?!…|\\342\\200\\246)|pin-source=/);
});

test.run();
