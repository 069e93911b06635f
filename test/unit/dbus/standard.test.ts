import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { ObjectTree, type ServedObject } from '../../../src/dbus/object-tree.ts';
import { PropertySet } from '../../../src/dbus/properties.ts';
import { standardMethods } from '../../../src/dbus/standard.ts';
import { variant } from '../../../src/dbus/variant.ts';
import { ServiceError } from '../../../src/errors.ts';
import { callWith } from '../../support/messages.ts';

const test = suite('dbus standard interfaces');

const definition = { name: 'org.iotedge.Test', version: 1, doc: 'A test.' };
const object: ServedObject = {
  path: '/t',
  managesObjects: false,
  interfaces: new Map([
    [
      definition.name,
      { definition, properties: new PropertySet(definition, {}), methods: new Map() },
    ],
  ]),
};

/** What a call of `org.freedesktop.DBus.Properties` is answered with. */
function answer(
  member: string,
  signature: string,
  body: readonly unknown[],
  on = object,
): readonly unknown[] | undefined {
  const method = standardMethods.get('org.freedesktop.DBus.Properties')?.get(member);
  const caller = { sender: ':1.7', uid: 0, gids: [], pid: undefined };
  const message = callWith(signature, body);
  return method?.answer({ message, caller, tree: new ObjectTree(), object: on }).body;
}

/** The failure of such a call. */
function failureOf(
  member: string,
  signature: string,
  body: readonly unknown[],
  on = object,
): ServiceError {
  try {
    answer(member, signature, body, on);
  } catch (error) {
    if (error instanceof ServiceError) return error;
    throw error;
  }
  throw new Error(`${member} is accepted`);
}

test('repeat no secret that stands where a name should', () => {
  const secret = 'DB_PW=SECRET1';
  const value = variant('s', 'x');
  const failures = [
    failureOf('Get', 'ss', [definition.name, secret]),
    failureOf('Get', 'ss', [secret, 'Version']),
    failureOf('GetAll', 's', [secret]),
    failureOf('Set', 'ssv', [definition.name, secret, value]),
    failureOf('Set', 'ssv', [secret, 'Version', value]),
  ];
  for (const { message } of failures) {
    assert.match(message, '"DB_PW=…"');
    assert.not.match(message, /SECRET1/);
  }
});

/** An object with two interfaces, which have one property in common. */
function twofold(): ServedObject {
  const of = (name: string, values: Readonly<Record<string, string>>) => {
    const properties = Object.fromEntries(
      Object.keys(values).map((key) => [
        key,
        { type: 's', emits: 'true', doc: 'A text.' } as const,
      ]),
    );
    const own = { name, doc: 'A test.', properties };
    return { definition: own, properties: new PropertySet(own, values), methods: new Map() };
  };
  const interfaces = new Map([
    ['a.A', of('a.A', { Mine: 'a', Shared: 'a' })],
    ['a.B', of('a.B', { Yours: 'b', Shared: 'b' })],
  ]);
  return { path: '/t', managesObjects: false, interfaces };
}

test('take no interface for any that has the property', () => {
  const both = twofold();
  const code = (...call: Parameters<typeof failureOf>) => failureOf(...call).code;
  assert.equal(answer('Get', 'ss', ['', 'Yours'], both), [variant('s', 'b')]);
  const [all] = answer('GetAll', 's', [''], both) ?? [];
  assert.equal(Object.keys(all as object).sort(), ['Mine', 'Shared', 'Yours']);
  assert.is(code('Get', 'ss', ['', 'Shared'], both), 'InvalidArgs');
  assert.is(code('Get', 'ss', ['', 'Theirs'], both), 'UnknownProperty');
  assert.is(code('Set', 'ssv', ['', 'Mine', variant('s', '')], both), 'PropertyReadOnly');
  assert.is(code('Set', 'ssv', ['', 'Theirs', variant('s', '')], both), 'UnknownProperty');
});

test('have no properties of their own', () => {
  const peer = 'org.freedesktop.DBus.Peer';
  assert.equal(answer('GetAll', 's', [peer]), [{}]);
  assert.is(failureOf('Get', 'ss', [peer, 'Version']).code, 'UnknownProperty');
  assert.is(failureOf('Get', 'ss', ['a.b', 'Version']).code, 'UnknownInterface');
});

test.run();
