import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { ObjectTree, type ServedObject } from '../../../../src/dbus/server/object-tree.ts';
import { DeferredValues, PropertySet } from '../../../../src/dbus/server/properties.ts';
import { changedSince, digestsOf } from '../../../../src/dbus/server/property-digests.ts';
import { variant } from '../../../../src/dbus/wire/variant.ts';

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

test('report a time before 1970 as none, without failing a listing', () => {
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
  assert.is(digestsOf(properties).split(' ').length, 4);
});

test('list those that clients have cached with another value', () => {
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

test('that are deferred are computed when one is read or their state changes, and not for their digest', () => {
  let computed = 0;
  const deferred = (state: string, Created: bigint) =>
    new DeferredValues(state, () => {
      computed++;
      return { Name: 'a', Created };
    });
  const { Name, Created: time } = definition.properties;
  const all = { ...definition, properties: { Name, Created: time } };
  const before = digestsOf(new PropertySet(all, deferred('one', 1n)));
  computed = 0;
  const properties = new PropertySet(all, deferred('one', 1n));
  properties.assertComplete();
  assert.is(properties.set(deferred('one', 1n)), undefined);
  assert.equal(changedSince(before, properties), []);
  assert.is(computed, 0);
  assert.equal(properties.get('Created'), variant('t', 1n));
  assert.is(properties.get('Name')?.value, 'a');
  assert.is(computed, 1);
  const { revision } = properties;
  assert.equal(Object.keys(properties.set(deferred('two', 2n))?.changed ?? {}), ['Created']);
  assert.is.not(properties.revision, revision);
  assert.equal(changedSince(before, properties), ['Created']);
  assert.is(properties.set(deferred('two', 2n)), undefined);
  assert.is(computed, 2);

  const unread = new PropertySet(all, deferred('one', 1n));
  assert.equal(unread.set(deferred('two', 2n))?.changed, { Created: variant('t', 2n) });
  unread.set({ Created: 3n });
  assert.equal(changedSince(before, unread), ['Created'], 'none of its states any more');
  assert.equal(unread.set(deferred('two', 2n))?.changed, { Created: variant('t', 2n) });
});

test('are complete from the start, and have no unknown ones', () => {
  const values = { Name: 'a', Created: 1n, Facts: { at: 1n, text: '' }, Level: 'x' };
  for (const missing of Object.keys(values)) {
    const incomplete = new PropertySet(definition, { ...values, [missing]: undefined });
    assert.throws(() => incomplete.assertComplete(), missing);
  }
  const properties = new PropertySet(definition, values);
  assert.throws(() => properties.set({ Nothing: 1 }), TypeError);
  assert.is(properties.get('Nothing'), undefined);
  assert.is(properties.get('toString'), undefined);
});

test('change only where a value differs', () => {
  const properties = set(1n);
  const { revision } = properties;
  assert.is(
    properties.set({ Created: 1n, Facts: { at: 1n, text: 'a\0b' }, Name: undefined }),
    undefined,
  );
  assert.is(properties.revision, revision);
  assert.is(properties.get('Name')?.value, 'a');
  assert.is(properties.set({ Level: 'y' }), undefined);
  assert.is(properties.get('Level')?.value, 'y');
  assert.is.not(properties.revision, revision);
  assert.equal(properties.set({ Created: 2n }), {
    changed: { Created: variant('t', 2n) },
    invalidated: [],
    constants: [],
  });
});

test('have times as numbers and bytes as base64 in JSON, with their current values', () => {
  const bytes = {
    name: 'a.b',
    doc: 'Bytes.',
    properties: {
      Bytes: { type: 'ay', emits: 'true', doc: 'Bytes.' },
      Names: { type: 'as', emits: 'true', doc: 'Names.' },
      At: { type: 't', emits: 'true', doc: 'A time.' },
    },
  } as const;
  const properties = new PropertySet(bytes, {
    Bytes: Buffer.from('\xfb'),
    Names: ['a\0b'],
    At: 5n,
  });
  assert.equal(properties.toJson(), { Bytes: 'w7s=', Names: ['a\0b'], At: 5 });
  assert.equal(properties.get('Names'), variant('as', ['a\ufffdb']));
  assert.is(properties.jsonText(), JSON.stringify(properties.toJson()));
  properties.set({ At: 6n });
  assert.match(properties.jsonText(), '"At":6');
});

test('have every field of a record', () => {
  const properties = set(1n);
  properties.set({ Facts: { at: 1n } });
  assert.throws(() => properties.get('Facts'), /text/);
});

test('are hashed in sequence, so that each difference shows', () => {
  const [one, two] = [set(1n), set(1n)];
  two.set({ Facts: { at: 2n, text: '' } });
  assert.is(one.digest(['Name', 'Created']), two.digest(['Name', 'Created']));
  assert.is.not(one.digest(['Name', 'Facts']), two.digest(['Name', 'Facts']));
  assert.equal(one.cached(), ['Name', 'Created', 'Facts']);
  assert.equal([one.isConstant('Name'), one.isConstant('Created')], [true, false]);
});

test.run();
