import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { ObjectTree, type ServedObject } from '../../../src/dbus/object-tree.ts';
import { PropertySet } from '../../../src/dbus/properties.ts';
import { changedSince, digestsOf } from '../../../src/dbus/shown.ts';
import { variant } from '../../../src/dbus/variant.ts';

const test = suite('dbus properties');

const definition = {
  name: 'org.iotedge.Test',
  doc: 'A test.',
  properties: {
    Name: { type: 's', emits: 'const', doc: 'A name.' },
    Created: { type: 't', emits: 'true', doc: 'A time.' },
    Facts: {
      type: 'a{sv}',
      record: { at: 't', text: 's' },
      emits: 'invalidates',
      doc: 'A record.',
    },
    Level: { type: 's', emits: 'false', doc: 'Not announced.' },
  },
} as const;

function set(Created: bigint): PropertySet {
  const Facts = { at: Created, text: 'a\0b' };
  return new PropertySet(definition, { Name: 'a', Created, Facts, Level: 'x' });
}

test('show a time before 1970 as none, and take no listing with them', () => {
  const properties = set(-5n);
  assert.equal(properties.get('Created'), variant('t', 0n));
  const object: ServedObject = {
    path: '/a/b',
    managesObjects: false,
    interfaces: new Map([[definition.name, { definition, properties, methods: new Map() }]]),
  };
  const tree = new ObjectTree();
  tree.add(object);
  assert.ok(tree.encodedBelow('/a').length > 0);
  assert.is(digestsOf(properties).size, 4);
});

test('tell which of them clients have cached otherwise', () => {
  const before = digestsOf(set(1n));
  assert.equal(changedSince(before, set(1n)), []);
  assert.equal(changedSince(before, set(2n)), ['Created', 'Facts']);
  assert.equal(changedSince(undefined, set(1n)), ['Name', 'Created', 'Facts']);
  const renamed = set(1n);
  const change = renamed.set({ Name: 'b', Level: 'y', Created: 3n });
  assert.equal(change?.constants, ['Name']);
  assert.equal(Object.keys(change?.changed ?? {}), ['Created']);
  assert.equal(changedSince(before, renamed), ['Name', 'Created']);
});

test.run();
