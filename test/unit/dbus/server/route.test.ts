import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { defineInterface } from '../../../../src/dbus/definition.ts';
import { Method } from '../../../../src/dbus/server/method.ts';
import { ObjectTree, type ServedInterface } from '../../../../src/dbus/server/object-tree.ts';
import { PropertySet } from '../../../../src/dbus/server/properties.ts';
import { routeOf } from '../../../../src/dbus/server/route.ts';
import { maxBodyBytesOf } from '../../../../src/dbus/server/serve.ts';
import { IncomingMessage } from '../../../../src/dbus/wire/inbox.ts';
import { type MessageHeader } from '../../../../src/dbus/wire/message.ts';
import { codeIn, codeOf } from '../../../support/failure.ts';
import { callWith } from '../../../support/wire/messages.ts';

const test = suite('dbus route');

const definition = { doc: 'Does it.', authorize: 'public' } as const;
const methods = new Map(
  ['Do', 'Ping', 'Both'].map((name) => [name, new Method(name, definition)] as const),
);
const large = new Method('Large', {
  ...definition,
  in: { data: 'ay' },
  check: { data: { maxBytes: 1 << 20 } },
});

function served(name: string, members: ReadonlyMap<string, Method>): ServedInterface {
  const empty = defineInterface({ name, doc: 'Empty.' });
  return { definition: empty, properties: new PropertySet(empty, {}), methods: members };
}

const tree = new ObjectTree();
tree.add({
  path: '/a/b',
  managesObjects: true,
  interfaces: new Map([
    ['a.One', served('a.One', methods)],
    ['a.Two', served('a.Two', new Map([['Both', new Method('Both', definition)]]))],
  ]),
});

/** The target of a call with these header fields, or the code of the refusal. */
function route(fields: Partial<MessageHeader>, body?: Buffer): string {
  const { header } = callWith('a{sv}', [{}]);
  const message = new IncomingMessage(
    { ...header, path: '/a/b', interface: 'a.One', member: 'Do', ...fields },
    body ?? Buffer.alloc(8),
    true,
  );
  try {
    const found = routeOf(message, tree);
    return found.kind === 'own' ? `own ${found.method.name}` : `standard ${found.method.where}`;
  } catch (error) {
    return codeIn(error);
  }
}

const peer = 'org.freedesktop.DBus.Peer';
const standard = (name: string, member: string, signature = ''): Partial<MessageHeader> => ({
  interface: `org.freedesktop.DBus.${name}`,
  member,
  signature,
});

test('resolves a method of an interface of an object', () => {
  assert.is(route({}), 'own Do');
  assert.is(route({ path: '/a' }), 'UnknownObject');
  assert.is(route({ path: undefined }), 'UnknownObject');
  assert.is(route({ interface: 'a.Three' }), 'UnknownInterface');
  assert.is(route({ member: 'Undo' }), 'UnknownMethod');
  assert.is(route({ member: undefined }), 'UnknownMethod');
  assert.is(route({ member: 'do' }), 'UnknownMethod');
});

test('finds the interface of a call that names none, if there is one', () => {
  assert.is(route({ interface: undefined }), 'own Do');
  assert.is(route({ interface: undefined, member: 'Both' }), 'UnknownMethod', 'two have it');
  assert.is(route({ interface: undefined, member: 'Ping' }), 'UnknownMethod', 'Peer has it, too');
  assert.is(
    route({ interface: undefined, member: 'GetMachineId', signature: '' }),
    'standard anywhere',
  );
  assert.is(route({ interface: undefined, member: 'Undo' }), 'UnknownMethod');
});

test('requires a body of exactly the signature of the method', () => {
  for (const signature of ['', 'sa{sv}', 'a{sv}s', 'a{ss}']) {
    assert.is(route({ signature }), 'InvalidArgs', signature);
  }
  assert.is(route({ interface: peer, member: 'Ping', signature: 's' }), 'InvalidArgs');
});

test('refuses a body and a header that were too large to receive', () => {
  const { header } = callWith('a{sv}', [{}]);
  const fields = { ...header, path: '/a/b', interface: 'a.One', member: 'Do' };
  const code = (changed: Partial<MessageHeader>, body?: Buffer) =>
    codeOf(() => routeOf(new IncomingMessage({ ...fields, ...changed }, body, true), tree));
  assert.is(code({}), 'LimitsExceeded');
  assert.is(code({ fieldsBytes: (16 << 10) + 1 }, Buffer.alloc(8)), 'LimitsExceeded');
  assert.is(code({ fieldsBytes: (16 << 10) + 1, member: 'No' }, Buffer.alloc(8)), 'LimitsExceeded');
  assert.is(code({ fieldsBytes: 16 << 10 }, Buffer.alloc(8)), 'no failure');
});

test('has Peer on every path, Introspectable on nodes and the rest on objects', () => {
  for (const path of ['/', '/a', '/a/b', '/x']) {
    const isNode = path !== '/x';
    const isObject = path === '/a/b';
    const at = (fields: Partial<MessageHeader>) => route({ ...fields, path });
    assert.is(at(standard('Peer', 'Ping')), 'standard anywhere', path);
    assert.is(at(standard('Peer', 'GetMachineId')), 'standard anywhere', path);
    assert.is(
      at(standard('Introspectable', 'Introspect')),
      isNode ? 'standard node' : 'UnknownObject',
    );
    for (const [name, member, signature] of [
      ['Properties', 'Get', 'ss'],
      ['Properties', 'GetAll', 's'],
      ['Properties', 'Set', 'ssv'],
      ['ObjectManager', 'GetManagedObjects', ''],
    ] as const) {
      const wanted = isObject ? 'standard object' : 'UnknownObject';
      assert.is(at(standard(name, member, signature)), wanted, `${path} ${member}`);
    }
    assert.is(at(standard('Properties', 'Ping')), 'UnknownMethod');
  }
});

test('limits a body by its method, and one of an unknown method by the size of names', () => {
  const all = new Map([...methods, ['Large', large]]);
  const { header } = callWith('', []);
  const most = (name: string | undefined, member: string) =>
    maxBodyBytesOf({ ...header, interface: name, member }, all);
  assert.is(most('a.One', 'Large'), large.maxBodyBytes);
  assert.is(most(undefined, 'Large'), large.maxBodyBytes);
  assert.ok(large.maxBodyBytes > 1 << 20);
  assert.is(most('org.freedesktop.DBus.Properties', 'Large'), 64 << 10);
  assert.is(most('a.One', 'No'), 64 << 10);
});

test.run();
