import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { defineInterface } from '../../../../src/dbus/definition.ts';
import { ObjectTree, type ServedObject } from '../../../../src/dbus/server/object-tree.ts';
import { PropertySet } from '../../../../src/dbus/server/properties.ts';
import { EncodedElements, readersOf, writersOf } from '../../../../src/dbus/wire/codec.ts';
import { WireReader } from '../../../../src/dbus/wire/reader.ts';
import type { Variant } from '../../../../src/dbus/wire/variant.ts';
import { WireWriter } from '../../../../src/dbus/wire/writer.ts';

const test = suite('dbus object tree');

const definition = defineInterface({
  name: 'a.b.Thing',
  doc: 'A thing.',
  properties: {
    Name: { type: 's', emits: 'true', doc: 'Its name.' },
    Size: { type: 't', emits: 'true', doc: 'Its size.' },
  },
});

function thing(path: string, name: string): ServedObject & { readonly set: PropertySet } {
  const set = new PropertySet(definition, { Name: name, Size: 7n });
  const served = { definition, properties: set, methods: new Map() };
  return { path, set, interfaces: new Map([[definition.name, served]]), managesObjects: false };
}

type Managed = Record<string, Record<string, Record<string, Variant>>>;

/** The paths and names that a caller of GetManagedObjects decodes. */
function managed(tree: ObjectTree, path: string): readonly (readonly [string, unknown])[] {
  const writer = new WireWriter();
  const elements = new EncodedElements(tree.encodedBelow(path));
  writersOf('a{oa{sa{sv}}}').forEach((write) => write(writer, elements));
  const bytes = Buffer.from(writer.buffer.subarray(0, writer.position));
  const reader = new WireReader(bytes, 0, { littleEndian: true, maxElements: 1000 });
  const [objects] = readersOf('a{oa{sa{sv}}}').map((read) => read(reader)) as [Managed]; // by its signature
  reader.expectEnd();
  return Object.entries(objects).map(([at, interfaces]) => [
    at,
    interfaces[definition.name]?.['Name']?.value,
  ]);
}

test('returns the current objects below a path', () => {
  const tree = new ObjectTree();
  assert.equal(managed(tree, '/a'), []);
  const first = thing('/a/thing/x', 'x');
  for (const object of [
    thing('/a', 'a'),
    first,
    thing('/a/thing/long', 'name'),
    thing('/ab/c', 'c'),
  ]) {
    tree.add(object);
  }
  assert.equal(managed(tree, '/a'), [
    ['/a/thing/x', 'x'],
    ['/a/thing/long', 'name'],
  ]);
  first.set.set({ Name: 'changed' });
  assert.equal(managed(tree, '/a')[0], ['/a/thing/x', 'changed']);
  tree.remove('/a/thing/x');
  tree.add(thing('/a/thing/x', 'again'));
  assert.equal(managed(tree, '/a').at(-1), ['/a/thing/x', 'again']);
});

test('has the nodes between objects, until the last one below is removed', () => {
  const tree = new ObjectTree();
  for (const path of ['/a/b/c', '/a/b/d', '/a/b']) tree.add(thing(path, 'x'));
  tree.add(thing('/a/b/c', 'replaced'));
  const children = (path: string) =>
    [...(tree.introspect(path) ?? 'none').matchAll(/<node name="(\w+)"/g)].map(([, name]) => name);
  assert.equal(children('/'), ['a']);
  assert.equal(children('/a/b'), ['c', 'd']);
  assert.is(tree.introspect('/x'), undefined);
  tree.remove('/a/b/c');
  tree.remove('/a/b/nothing');
  assert.equal(children('/a/b'), ['d']);
  tree.remove('/a/b');
  assert.ok(tree.hasNode('/a/b') && !tree.hasNode('/a/b/c'));
  tree.remove('/a/b/d');
  assert.not.ok(tree.hasNode('/') || tree.hasNode('/a') || tree.hasNode('/a/b'));
});

test('introspects what is there now, after objects were added and removed', () => {
  const tree = new ObjectTree();
  tree.add(thing('/a/b/c', 'x'));
  const isObject = () => (tree.introspect('/a/b') ?? '').includes('a.b.Thing');
  const children = () => (tree.introspect('/a/b') ?? '').match(/<node name="\w+"/g)?.length ?? 0;
  assert.equal([isObject(), children()], [false, 1]);
  tree.add(thing('/a/b', 'x'));
  assert.equal([isObject(), children()], [true, 1]);
  tree.add(thing('/a/b/d', 'x'));
  assert.equal([isObject(), children()], [true, 2]);
  tree.remove('/a/b');
  tree.remove('/a/b/c');
  assert.equal([isObject(), children()], [false, 1]);
  assert.equal(tree.introspect('/')?.match(/<node name="\w+"/g), ['<node name="a"']);
  tree.remove('/a/b/d');
  assert.is(tree.introspect('/'), undefined);
});

test('returns the replacement of an object, and objects of every length', () => {
  const tree = new ObjectTree();
  for (let size = 1; size < 12; size++) tree.add(thing(`/a/${'x'.repeat(size)}`, 'n'.repeat(size)));
  const wanted = Array.from({ length: 11 }, (_, at) => [
    `/a/${'x'.repeat(at + 1)}`,
    'n'.repeat(at + 1),
  ]);
  assert.equal(managed(tree, '/a'), wanted);
  tree.add(thing('/a/x', 'other'));
  assert.equal(managed(tree, '/a')[0], ['/a/x', 'other']);
});

test('introspects the standard interfaces where they apply, and children in their order', () => {
  const tree = new ObjectTree();
  for (const name of ['c', 'a', 'b']) tree.add(thing(`/m/thing/${name}`, 'x'));
  tree.add({ ...thing('/m', 'x'), managesObjects: true });
  const interfaces = (path: string) =>
    [...(tree.introspect(path) ?? '').matchAll(/<interface name="([\w.]+)"/g)].map(([, name]) =>
      name?.replace('org.freedesktop.DBus.', ''),
    );
  const always = ['Peer', 'Introspectable', 'Properties'];
  assert.equal(interfaces('/m'), [...always, 'ObjectManager', 'a.b.Thing']);
  assert.equal(interfaces('/m/thing/a'), [...always, 'a.b.Thing']);
  assert.equal(interfaces('/m/thing'), ['Peer', 'Introspectable']);
  assert.match(tree.introspect('/m/thing') ?? '', /"a"\/>\s*<node name="b"\/>\s*<node name="c"/);
});

test('encodes an object once per change, however often it is read', () => {
  const tree = new ObjectTree();
  const objects = Array.from({ length: 100 }, (_, at) => thing(`/a/thing/${at}`, `${at}`));
  let encoded = 0;
  for (const object of objects) {
    const all = object.set.all.bind(object.set);
    object.set.all = () => {
      encoded++;
      return all();
    };
    tree.add(object);
  }
  for (let read = 0; read < 50; read++) tree.encodedBelow('/a');
  assert.is(encoded, 100);
  objects[5]?.set.set({ Size: 8n });
  for (let read = 0; read < 50; read++) tree.encodedBelow('/a');
  assert.is(encoded, 101);
});

test.run();
