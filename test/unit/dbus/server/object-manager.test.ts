import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { defineInterface, defineService } from '../../../../src/dbus/definition.ts';
import { ObjectManager } from '../../../../src/dbus/server/object-manager.ts';
import { DeferredValues } from '../../../../src/dbus/server/properties.ts';
import type { Message } from '../../../../src/dbus/wire/message.ts';
import { variant } from '../../../../src/dbus/wire/variant.ts';
import { comparable } from '../../../support/wire/dbus-values.ts';

const test = suite('dbus ObjectManager');

const service = defineService({
  name: 'shown',
  doc: 'A service.',
  busName: 'a.Shown',
  path: '/a',
  user: 'root',
  actions: {},
  manager: defineInterface({
    name: 'a.Shown',
    doc: 'Its manager.',
    properties: {
      Version: { type: 's', emits: 'const', doc: 'Version.' },
      Health: { type: 's', emits: 'true', doc: 'Health.' },
      LastError: { type: 's', emits: 'true', doc: 'Error.' },
      List: { type: 'as', emits: 'invalidates', doc: 'A list.' },
    },
    signals: { Happened: { doc: 'It did.', args: { what: 's', at: 't' } } },
  }),
  child: {
    segment: 'thing',
    interface: defineInterface({
      name: 'a.Shown.Thing',
      doc: 'A thing.',
      properties: {
        Name: { type: 's', emits: 'const', doc: 'Its name.' },
        Size: { type: 't', emits: 'true', doc: 'Its size.' },
        Contents: { type: 'as', emits: 'invalidates', doc: 'What is in it.' },
        Hidden: { type: 's', emits: 'false', doc: 'Never announced.' },
      },
    }),
  },
});

const ball = { Name: 'ball', Size: 1n, Contents: ['air'], Hidden: '' };
const thingPath = '/a/thing/ball';
const added = (size: bigint, name = 'ball') => [
  '/a',
  'InterfacesAdded',
  comparable([
    thingPath,
    {
      'a.Shown.Thing': {
        Name: variant('s', name),
        Size: variant('t', size),
        Contents: variant('as', ['air']),
        Hidden: variant('s', ''),
      },
    },
  ]),
];
const removed = (path = thingPath) => [
  '/a',
  'InterfacesRemoved',
  comparable([path, ['a.Shown.Thing']]),
];

/** The objects, and the signals that were sent, by path, member and body; `change` marks each notification before. */
function open() {
  const sent: unknown[] = [];
  const send = ({ path, member, body }: Message) => sent.push([path, member, comparable(body)]);
  const objects = new ObjectManager({ send }, service, '1');
  objects.setProperties({ List: [] });
  objects.onChange(() => sent.push('change'));
  return { objects, signals: () => sent.splice(0) };
}

function live() {
  const { objects, signals } = open();
  objects.put('ball', ball);
  objects.goLive();
  return { objects, signals };
}

const json = (
  objects: ObjectManager<typeof service>,
  more?: Readonly<Record<string, unknown>>,
): unknown => JSON.parse(objects.describe(more));

const properties = (
  path: string,
  name: string,
  changed: object,
  invalidated: readonly string[] = [],
) => [path, 'PropertiesChanged', comparable([name, changed, invalidated])];

test('announces nothing before the service owns its name', () => {
  const { objects, signals } = open();
  objects.put('ball', ball);
  objects.update('ball', { Size: 2n });
  objects.setProperties({ Health: 'degraded' });
  objects.emit('Happened', { what: 'it', at: 1n });
  objects.remove('ball');
  objects.setProblem('disk', 'why');
  assert.equal(signals(), []);
});

test('announces each change once, after its listener', () => {
  const { objects, signals } = live();
  objects.setProperties({ Health: 'ok', LastError: '' });
  objects.update('ball', { Size: 1n, Contents: ['air'], Hidden: 'secret' });
  objects.update('nothing', { Size: 1n });
  assert.equal(signals(), []);
  objects.setProperties({ Health: 'degraded', List: ['a'], Version: '2' });
  const health = { Health: variant('s', 'degraded') };
  assert.equal(signals(), ['change', properties('/a', 'a.Shown', health, ['List', 'Version'])]);
  objects.update('ball', { Size: 2n, Contents: [] });
  const size = { Size: variant('t', 2n) };
  assert.equal(signals(), ['change', properties(thingPath, 'a.Shown.Thing', size, ['Contents'])]);
});

test('announces an object when it is added, changed and removed', () => {
  const { objects, signals } = open();
  objects.goLive();
  objects.put('ball', ball);
  assert.equal(signals(), ['change', added(1n)]);
  objects.put('ball', { ...ball, Size: 2n });
  const size = { Size: variant('t', 2n) };
  assert.equal(signals(), ['change', properties(thingPath, 'a.Shown.Thing', size)]);
  objects.remove('ball');
  assert.equal(signals(), ['change', removed()]);
  objects.remove('ball');
  assert.equal([signals(), objects.ids()], [[], []]);
});

test('announces an object whose constants change as a new one', () => {
  const { objects, signals } = live();
  objects.put('ball', { ...ball, Name: 'other', Size: 3n });
  assert.equal(signals(), ['change', removed(), 'change', added(3n, 'other')]);
});

test('sends its own signals, which are not changes', () => {
  const { objects, signals } = live();
  objects.emit('Happened', { at: 5n, what: 'it' });
  assert.equal(signals(), [['/a', 'Happened', comparable(['it', 5n])]]);
});

test('announces the differences from what it published in the previous run', () => {
  const before = live();
  before.objects.put('gone', ball);
  const shown = before.objects.digests();
  const same = live();
  same.objects.put('gone', ball);
  same.signals();
  same.objects.announceSince(shown);
  assert.equal(same.signals(), []);

  const changed = open();
  changed.objects.setProperties({ Health: 'degraded' });
  changed.objects.put('ball', { ...ball, Size: 2n, Hidden: 'other' });
  changed.objects.put('new', { ...ball, Name: 'new' });
  changed.objects.goLive();
  changed.objects.announceSince(shown);
  const [manager, size, come, gone, ...more] = changed.signals().filter((one) => one !== 'change');
  assert.equal(manager, properties('/a', 'a.Shown', {}, ['Health']));
  assert.equal(size, properties(thingPath, 'a.Shown.Thing', {}, ['Size']));
  assert.match(JSON.stringify(come), /^\["\/a","InterfacesAdded",\["string \/a\/thing\/new"/);
  assert.equal(gone, removed('/a/thing/gone'));
  assert.equal(more, []);

  const other = open();
  other.objects.put('ball', { ...ball, Name: 'other' });
  other.objects.put('gone', ball);
  other.objects.goLive();
  other.objects.announceSince(shown);
  assert.equal(
    other.signals().filter((one) => one !== 'change'),
    [removed(), added(1n, 'other')],
  );
});

test('computes deferred values when they are read, announced or compared, not at a start', () => {
  const computed: string[] = [];
  const shown = (state: string, Size: bigint) =>
    new DeferredValues(state, () => {
      computed.push(state);
      return { ...ball, Size };
    });
  const { objects, signals } = open();
  objects.putDeferred('ball', shown('one', 1n));
  objects.putDeferred('ball', shown('one', 1n));
  objects.goLive();
  assert.equal([computed, objects.ids()], [[], ['ball']]);
  objects.putDeferred('ball', shown('two', 2n));
  assert.equal(computed.sort(), ['one', 'two']);
  const size = { Size: variant('t', 2n) };
  assert.equal(signals(), ['change', properties(thingPath, 'a.Shown.Thing', size)]);
  objects.remove('ball');
  objects.putDeferred('ball', shown('three', 3n));
  assert.equal(signals(), ['change', removed(), 'change', added(3n)]);
  for (const read of [
    () => objects.describe(),
    () => objects.tree.encodedBelow('/a'),
    () =>
      objects.tree.get('/a/thing/other')?.interfaces.get('a.Shown.Thing')?.properties.get('Size'),
  ]) {
    objects.remove('other');
    const state = String(computed.length);
    objects.putDeferred('other', new DeferredValues(state, () => shown(state, 1n).compute()));
    void read();
    assert.ok(computed.includes(state), String(read));
  }
});

test('announces that everything may differ when the previously published objects are unknown', () => {
  const { objects, signals } = live();
  objects.announceSince(undefined);
  assert.equal(
    signals().filter((one) => one !== 'change'),
    [
      properties('/a', 'a.Shown', {}, ['Version', 'Health', 'LastError', 'List']),
      properties(thingPath, 'a.Shown.Thing', {}, ['Name', 'Size', 'Contents']),
    ],
  );
});

test('describes the public interfaces, and those that are added', () => {
  const { objects } = live();
  const things = { ball: { Name: 'ball', Size: 1, Contents: ['air'], Hidden: '' } };
  const head = { service: 'shown', version: '1', health: 'ok', last_error: '' };
  assert.equal(json(objects), { ...head, properties: { List: [] }, objects: things });
  objects.update('ball', { Size: 2n });
  objects.setProperties({ List: ['a'] });
  assert.equal(json(objects, { more: [7] }), {
    ...head,
    properties: { List: ['a'] },
    more: [7],
    objects: { ball: { ...things.ball, Size: 2 } },
  });
});

const health = ({ objects }: { readonly objects: ObjectManager<typeof service> }) => {
  const { health: state, last_error } = json(objects) as { health: string; last_error: string };
  return [state, last_error];
};

test('shows a problem of the process beside those of the service, until it ends', () => {
  const shown = live();
  const { objects, signals } = shown;
  objects.setProblem('disk', 'disk full');
  assert.equal(health(shown), ['degraded', 'disk full']);
  const change = { Health: variant('s', 'degraded'), LastError: variant('s', 'disk full') };
  assert.equal(signals(), ['change', properties('/a', 'a.Shown', change)]);
  objects.setProperties({ Health: 'failed', LastError: 'no token' });
  assert.equal(health(shown), ['degraded', 'disk full; no token']);
  objects.setProperties({ List: ['a'] });
  assert.equal(health(shown), ['degraded', 'disk full; no token']);
  objects.setProperties({ LastError: '' });
  assert.equal(health(shown), ['degraded', 'disk full']);
  objects.setProblem('disk', '');
  assert.equal(health(shown), ['failed', '']);
  objects.setProperties({ Health: 'ok', LastError: 'late' });
  assert.equal(health(shown), ['ok', 'late']);
  objects.setProblem('disk', 'disk full');
  objects.setProblem('clock', 'clock wrong');
  assert.equal(health(shown), ['degraded', 'disk full; clock wrong; late']);
  objects.setProblem('disk', '');
  assert.equal(health(shown), ['degraded', 'clock wrong; late']);
});

test('notifies of every change of LastError, from the start on', () => {
  const { objects } = open();
  const seen: string[] = [];
  objects.onHealth((lastError) => void seen.push(lastError));
  objects.setProblem('disk', 'disk full');
  objects.setProblem('disk', 'disk full');
  objects.setProperties({ List: ['a'] });
  objects.setProperties({ LastError: 'no token' });
  objects.setProblem('disk', '');
  objects.setProperties({ LastError: '' });
  assert.equal(seen, ['disk full', 'disk full; no token', 'no token', '']);
});

test('requires every value of the manager before it is served, and of an object when it is added', () => {
  const send = (): number => {
    throw new Error('nothing is sent');
  };
  const objects = new ObjectManager({ send }, service, '1');
  assert.throws(() => objects.assertComplete(), 'List');
  const { Name: _name, ...nameless } = ball;
  assert.throws(() => objects.put('ball', nameless as typeof ball), 'Name'); // as no caller can
  assert.equal(objects.ids(), []);
  objects.setProperties({ List: [] });
  objects.assertComplete();
  assert.equal(health({ objects }), ['ok', '']);
});

test('shows what a service added before it owned its name, and announces the rest at once', () => {
  const { objects, signals } = open();
  objects.put('ball', { ...ball, Size: 9n });
  objects.put('ball', ball);
  objects.put('gone', ball);
  objects.remove('gone');
  objects.setProperties({ LastError: 'early' });
  objects.emit('Happened', { what: 'it', at: 1n });
  assert.equal([objects.ids(), health({ objects })], [['ball'], ['ok', 'early']]);
  assert.equal(signals(), []);
  objects.goLive();
  objects.setProperties({ Health: 'degraded' });
  assert.equal(health({ objects }), ['degraded', 'early']);
  objects.put('ball', { ...ball, Size: 2n });
  objects.remove('ball');
  objects.emit('Happened', { what: 'it', at: 1n });
  assert.equal(
    signals().filter((one) => one !== 'change'),
    [
      properties('/a', 'a.Shown', { Health: variant('s', 'degraded') }),
      properties(thingPath, 'a.Shown.Thing', { Size: variant('t', 2n) }),
      removed(),
      ['/a', 'Happened', comparable(['it', 1n])],
    ],
  );
});

test.run();
