import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import type { Bus } from '../../../../src/dbus/bus.ts';
import { defineInterface, defineService } from '../../../../src/dbus/definition.ts';
import { Display } from '../../../../src/dbus/server/display.ts';
import { Published } from '../../../../src/dbus/server/published.ts';
import type { Message } from '../../../../src/dbus/wire/message.ts';
import { variant } from '../../../../src/dbus/wire/variant.ts';
import { comparable } from '../../../support/wire/dbus-values.ts';

const test = suite('dbus published');

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

const manager = { Version: '1', Health: 'ok', LastError: '', List: [] };
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

class Shown extends Published<typeof service> {
  json(more?: Readonly<Record<string, unknown>>): unknown {
    return JSON.parse(this.describe(more));
  }
}

/** What is published, and the signals that were sent, by path, member and body; `change` stands before each change. */
function open() {
  const sent: unknown[] = [];
  const bus = {
    send: ({ path, member, body }: Message) => sent.push([path, member, comparable(body)]),
  } as unknown as Bus; // its constructor is private
  const published = new Shown(bus, service, manager, new Map());
  published.onChange(() => sent.push('change'));
  return { published, signals: () => sent.splice(0) };
}

function live() {
  const { published, signals } = open();
  published.putObject('ball', ball);
  published.goLive();
  return { published, signals };
}

const properties = (
  path: string,
  name: string,
  changed: object,
  invalidated: readonly string[] = [],
) => [path, 'PropertiesChanged', comparable([name, changed, invalidated])];

test('announces nothing before the service has its name', () => {
  const { published, signals } = open();
  published.putObject('ball', ball);
  published.updateObject('ball', { Size: 2n });
  published.setProperties({ Health: 'degraded' });
  published.emit('Happened', { what: 'it', at: 1n });
  published.removeObject('ball');
  published.setProblem('why');
  assert.equal(signals(), []);
});

test('announces each change once, behind its listener', () => {
  const { published, signals } = live();
  published.setProperties({ Health: 'ok', LastError: '' });
  published.updateObject('ball', { Size: 1n, Contents: ['air'], Hidden: 'secret' });
  published.updateObject('nothing', { Size: 1n });
  assert.equal(signals(), []);
  published.setProperties({ Health: 'degraded', List: ['a'], Version: '2' });
  const health = { Health: variant('s', 'degraded') };
  assert.equal(signals(), ['change', properties('/a', 'a.Shown', health, ['List', 'Version'])]);
  published.updateObject('ball', { Size: 2n, Contents: [] });
  const size = { Size: variant('t', 2n) };
  assert.equal(signals(), ['change', properties(thingPath, 'a.Shown.Thing', size, ['Contents'])]);
});

test('announces an object when it comes, changes and goes', () => {
  const { published, signals } = open();
  published.goLive();
  published.putObject('ball', ball);
  assert.equal(signals(), ['change', added(1n)]);
  published.putObject('ball', { ...ball, Size: 2n });
  const size = { Size: variant('t', 2n) };
  assert.equal(signals(), ['change', properties(thingPath, 'a.Shown.Thing', size)]);
  published.removeObject('ball');
  assert.equal(signals(), ['change', removed()]);
  published.removeObject('ball');
  assert.equal([signals(), published.objectIds()], [[], []]);
});

test('announces an object whose constants change as another one', () => {
  const { published, signals } = live();
  published.putObject('ball', { ...ball, Name: 'other', Size: 3n });
  assert.equal(signals(), ['change', removed(), 'change', added(3n, 'other')]);
});

test('sends its signals, which are no changes', () => {
  const { published, signals } = live();
  published.emit('Happened', { at: 5n, what: 'it' });
  assert.equal(signals(), [['/a', 'Happened', comparable(['it', 5n])]]);
});

test('announces in what it differs from what it showed when it ended', () => {
  const before = live();
  before.published.putObject('gone', ball);
  const shown = before.published.shown();
  const same = live();
  same.published.putObject('gone', ball);
  same.signals();
  same.published.announceSince(shown);
  assert.equal(same.signals(), []);

  const changed = open();
  changed.published.setProperties({ Health: 'degraded' });
  changed.published.putObject('ball', { ...ball, Size: 2n, Hidden: 'other' });
  changed.published.putObject('new', { ...ball, Name: 'new' });
  changed.published.goLive();
  changed.published.announceSince(shown);
  const [manager, size, come, gone, ...more] = changed.signals().filter((one) => one !== 'change');
  assert.equal(manager, properties('/a', 'a.Shown', {}, ['Health']));
  assert.equal(size, properties(thingPath, 'a.Shown.Thing', {}, ['Size']));
  assert.match(JSON.stringify(come), /^\["\/a","InterfacesAdded",\["string \/a\/thing\/new"/);
  assert.equal(gone, removed('/a/thing/gone'));
  assert.equal(more, []);

  const other = open();
  other.published.putObject('ball', { ...ball, Name: 'other' });
  other.published.putObject('gone', ball);
  other.published.goLive();
  other.published.announceSince(shown);
  assert.equal(
    other.signals().filter((one) => one !== 'change'),
    [removed(), added(1n, 'other')],
  );
});

test('announces that everything may differ when it is not known what was shown', () => {
  const { published, signals } = live();
  published.announceSince(undefined);
  assert.equal(
    signals().filter((one) => one !== 'change'),
    [
      properties('/a', 'a.Shown', {}, ['Version', 'Health', 'LastError', 'List']),
      properties(thingPath, 'a.Shown.Thing', {}, ['Name', 'Size', 'Contents']),
    ],
  );
});

test('describes all that is public, and what is added to it', () => {
  const { published } = live();
  const objects = { ball: { Name: 'ball', Size: 1, Contents: ['air'], Hidden: '' } };
  const head = { service: 'shown', version: '1', health: 'ok', last_error: '' };
  assert.equal(published.json(), { ...head, properties: { List: [] }, objects });
  published.updateObject('ball', { Size: 2n });
  published.setProperties({ List: ['a'] });
  assert.equal(published.json({ more: [7] }), {
    ...head,
    properties: { List: ['a'] },
    more: [7],
    objects: { ball: { ...objects.ball, Size: 2 } },
  });
});

const health = ({ published }: { readonly published: Shown }) => {
  const { health: state, last_error } = published.json() as { health: string; last_error: string };
  return [state, last_error];
};

test('shows a problem of the process beside those of the service, until it ends', () => {
  const shown = live();
  const { published, signals } = shown;
  published.setProblem('disk full');
  assert.equal(health(shown), ['degraded', 'disk full']);
  const change = { Health: variant('s', 'degraded'), LastError: variant('s', 'disk full') };
  assert.equal(signals(), ['change', properties('/a', 'a.Shown', change)]);
  published.setProperties({ Health: 'failed', LastError: 'no token' });
  assert.equal(health(shown), ['degraded', 'disk full; no token']);
  published.setProperties({ List: ['a'] });
  assert.equal(health(shown), ['degraded', 'disk full; no token']);
  published.setProperties({ LastError: '' });
  assert.equal(health(shown), ['degraded', 'disk full']);
  published.setProblem('');
  assert.equal(health(shown), ['failed', '']);
  published.setProperties({ Health: 'ok', LastError: 'late' });
  assert.equal(health(shown), ['ok', 'late']);
});

test('remembers what a service shows before there is a server, and publishes the rest at once', () => {
  const display = new Display<typeof service, Partial<typeof manager>>({ Health: 'ok' });
  display.put('ball', { ...ball, Size: 9n });
  display.put('ball', ball);
  display.put('gone', ball);
  display.remove('gone');
  display.set({ LastError: 'early' });
  display.emit('Happened', { what: 'it', at: 1n });
  assert.equal(display.state, { Health: 'ok', LastError: 'early' });
  const { published, signals } = open();
  display.attach(published);
  assert.equal([published.objectIds(), health({ published })], [['ball'], ['ok', 'early']]);
  published.goLive();
  display.set({ Health: 'degraded' });
  assert.equal(display.state, { Health: 'degraded', LastError: 'early' });
  display.put('ball', { ...ball, Size: 2n });
  display.remove('ball');
  display.emit('Happened', { what: 'it', at: 1n });
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
