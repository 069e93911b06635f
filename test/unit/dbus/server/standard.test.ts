import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { ObjectTree, type ServedObject } from '../../../../src/dbus/server/object-tree.ts';
import { PropertySet } from '../../../../src/dbus/server/properties.ts';
import { standardMethods } from '../../../../src/dbus/server/standard.ts';
import { IncomingMessage } from '../../../../src/dbus/wire/inbox.ts';
import { variant } from '../../../../src/dbus/wire/variant.ts';
import { isServiceError, ServiceError } from '../../../../src/errors.ts';
import { codeIn } from '../../../support/failure.ts';
import { callWith } from '../../../support/wire/messages.ts';

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

/** The reply to a call of `org.freedesktop.DBus.Properties`. */
function replyTo(
  member: string,
  signature: string,
  body: readonly unknown[],
  on = object,
): readonly unknown[] | undefined {
  const method = standardMethods.get('org.freedesktop.DBus.Properties')?.get(member);
  const caller = { sender: ':1.7', uid: 0, gids: [], pid: undefined };
  const message = callWith(signature, body);
  return method?.handle({ message, caller, tree: new ObjectTree(), object: on }).body;
}

/** The failure of such a call. */
function failureOf(
  member: string,
  signature: string,
  body: readonly unknown[],
  on = object,
): ServiceError {
  try {
    replyTo(member, signature, body, on);
  } catch (error) {
    if (error instanceof ServiceError) return error;
    throw error;
  }
  throw new Error(`${member} is accepted`);
}

test('do not quote a secret in place of a name', () => {
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

test('require an interface for a property that several interfaces have', () => {
  const both = twofold();
  const code = (...call: Parameters<typeof failureOf>) => failureOf(...call).code;
  assert.equal(replyTo('Get', 'ss', ['', 'Yours'], both), [variant('s', 'b')]);
  const [all] = replyTo('GetAll', 's', [''], both) ?? [];
  assert.equal(Object.keys(all as object).sort(), ['Mine', 'Shared', 'Yours']);
  assert.is(code('Get', 'ss', ['', 'Shared'], both), 'InvalidArgs');
  assert.is(code('Get', 'ss', ['', 'Theirs'], both), 'UnknownProperty');
  assert.is(code('Set', 'ssv', ['', 'Mine', variant('s', '')], both), 'PropertyReadOnly');
  assert.is(code('Set', 'ssv', ['', 'Theirs', variant('s', '')], both), 'UnknownProperty');
});

test('have no properties themselves', () => {
  const peer = 'org.freedesktop.DBus.Peer';
  assert.equal(replyTo('GetAll', 's', [peer]), [{}]);
  assert.is(failureOf('Get', 'ss', [peer, 'Version']).code, 'UnknownProperty');
  assert.is(failureOf('Get', 'ss', ['a.b', 'Version']).code, 'UnknownInterface');
});

const logLevel = {
  name: 'a.Log',
  doc: 'A test.',
  properties: {
    Level: { type: 's', emits: 'false', write: 'owner', doc: 'A text.' },
    Fixed: { type: 's', emits: 'const', doc: 'A text.' },
  },
} as const;

/** Calls `Properties.Set` of a writable property as a uid: the code of its failure and the values that were set. */
function setAs(uid: number, message: IncomingMessage): readonly [string, readonly unknown[]] {
  const written: unknown[] = [];
  const served = {
    definition: logLevel,
    properties: new PropertySet(logLevel, { Level: 'x', Fixed: 'x' }),
    methods: new Map(),
    write: (name: string, value: unknown) => void written.push([name, value]),
  };
  const on = { path: '/t', managesObjects: false, interfaces: new Map([['a.Log', served]]) };
  const set = standardMethods.get('org.freedesktop.DBus.Properties')?.get('Set');
  const caller = { sender: ':1.7', uid, gids: [], pid: undefined };
  try {
    set?.handle({ message, caller, tree: new ObjectTree(), object: on });
    return ['no failure', written];
  } catch (error) {
    return [codeIn(error), written];
  }
}

const setting = (name: string, value: unknown) => callWith('ssv', ['a.Log', name, value]);

/** Runs as a process of another uid would. */
function asUid<T>(uid: number, body: () => T): T {
  const { getuid } = process;
  process.getuid = () => uid;
  try {
    return body();
  } finally {
    process.getuid = getuid as () => number; // not on Windows
  }
}

test('let root and the uid of the service set writable properties, and no other', () => {
  const level = () => setting('Level', variant('s', 'debug'));
  asUid(990, () => {
    for (const uid of [0, 990]) {
      assert.equal(setAs(uid, level()), ['no failure', [['Level', 'debug']]], `${uid}`);
    }
    for (const uid of [1, 991, 65_534]) assert.equal(setAs(uid, level()), ['AccessDenied', []]);
    assert.equal(setAs(991, setting('Fixed', variant('s', 'x'))), ['PropertyReadOnly', []]);
    assert.equal(setAs(991, setting('No', variant('s', 'x'))), ['UnknownProperty', []]);
  });
});

test('refuse a value of another type, or followed by bytes', () => {
  for (const value of [variant('u', 7), variant('v', variant('s', 'x')), variant('as', ['x'])]) {
    assert.equal(setAs(0, setting('Level', value)), ['InvalidArgs', []], value.signature);
  }
  for (const name of ['Fixed', 'constructor', '__proto__', 'toString']) {
    const code = name === 'Fixed' ? 'PropertyReadOnly' : 'UnknownProperty';
    assert.equal(setAs(0, setting(name, variant('s', 'x'))), [code, []], name);
  }
  const { header } = setting('Level', variant('s', 'x'));
  const bytes = setting('Level', variant('s', 'x')).reader(0).buffer;
  const longer = new IncomingMessage(header, Buffer.concat([bytes, Buffer.of(0)]), true);
  assert.equal(setAs(0, longer), ['InvalidArgs', []]);
  const shorter = new IncomingMessage(header, bytes.subarray(0, -1), true);
  assert.equal(setAs(0, shorter), ['InvalidArgs', []]);
});

test('refuse bytes after the names in their arguments', () => {
  for (const [member, signature, body] of [
    ['Get', 'ss', ['a.A', 'Mine']],
    ['GetAll', 's', ['a.A']],
  ] as const) {
    const { header } = callWith(signature, body);
    const bytes = Buffer.concat([callWith(signature, body).reader(0).buffer, Buffer.of(0)]);
    const method = standardMethods.get('org.freedesktop.DBus.Properties')?.get(member);
    const caller = { sender: ':1.7', uid: 0, gids: [], pid: undefined };
    const message = new IncomingMessage(header, bytes, true);
    const replyTo = () =>
      method?.handle({ message, caller, tree: new ObjectTree(), object: twofold() });
    assert.throws(replyTo, (error: unknown) => isServiceError(error, 'InvalidArgs'), member);
  }
});

test('have no more than one effect, and limit the size of their arguments', () => {
  const methods = [...standardMethods.values()].flatMap((members) => [...members]);
  const effective = methods.filter(([, { hasEffect }]) => hasEffect);
  assert.equal(
    effective.map(([name]) => name),
    ['Set'],
  );
  for (const [name, { maxBodyBytes }] of methods) assert.is(maxBodyBytes, 64 << 10, name);
});

test.run();
