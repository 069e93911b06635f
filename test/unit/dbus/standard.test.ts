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

/** The failure of a call of `org.freedesktop.DBus.Properties`. */
function failureOf(member: string, signature: string, body: readonly unknown[]): ServiceError {
  const method = standardMethods.get('org.freedesktop.DBus.Properties')?.get(member);
  const caller = { sender: ':1.7', uid: 0, gids: [], pid: undefined };
  try {
    method?.answer({
      message: callWith(signature, body),
      caller,
      tree: new ObjectTree(),
      object,
    });
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

test.run();
