import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { defineInterface } from '../../../src/dbus/definition.ts';
import { interfaceXml } from '../../../src/dbus/introspect.ts';

const test = suite('introspection XML');

const doors = defineInterface({
  name: 'org.example.Doors1',
  doc: 'All doors.',
  methods: {
    Open: {
      doc: 'Opens a door.',
      in: { code: 'ay', names: 'a{ss}' },
      out: { record: 'a{sv}', log: 'ay' },
      authorize: 'public',
    },
    List: { doc: 'Lists doors.', out: { doors: 'aa{sv}' }, authorize: 'public' },
  },
  properties: {
    Code: { type: 'ay', emits: 'true', doc: 'A code.' },
    Frame: { type: 'a{sv}', emits: 'const', doc: 'A frame.' },
  },
  signals: { Opened: { doc: 'One is open.', args: { code: 'ay', by: 'a{sv}' } } },
});

const bytes = '<annotation name="org.gtk.GDBus.C.ForceGVariant" value="true"/>';
const xml = interfaceXml(doors);

test('marks bytes, so that generators do not take them for text', () => {
  const open = (name: string, rest: string) =>
    `<arg name="${name}" type="ay"${rest}>\n        ${bytes}`;
  assert.match(xml, open('code', ' direction="in"'));
  assert.match(xml, open('log', ' direction="out"'));
  assert.match(xml, open('code', ''));
  const property = /<property name="Code"[^]*?<\/property>/.exec(xml);
  assert.match(property?.[0] ?? '', bytes);
  assert.is(xml.split(bytes).length - 1, 4);
});

test('states the Qt types of dictionaries, by their position', () => {
  const qt = (place: string, type: string) =>
    `<annotation name="org.qtproject.QtDBus.QtTypeName${place}" value="${type}"/>`;
  const [open = '', list = '', signal = ''] = xml.match(/<(method|signal) [^]*?<\/\1>/g) ?? [];
  assert.match(open, qt('.In1', 'QMap&lt;QString,QString&gt;'));
  assert.match(open, qt('.In2', 'QVariantMap'));
  assert.match(open, qt('.Out0', 'QVariantMap'));
  assert.match(list, qt('.In0', 'QVariantMap'));
  assert.match(list, qt('.Out0', 'QList&lt;QVariantMap&gt;'));
  assert.match(signal, qt('.Out1', 'QVariantMap'));
  assert.match(xml, qt('', 'QVariantMap'));
});

test('has documentation only on request', () => {
  assert.not.match(xml, 'DocString');
  const documented = interfaceXml(doors, {
    interface: doors.doc,
    member: (name) => (name === 'Open' ? 'Opens "a" <door>.' : ''),
    argument: (member, name) => (member === 'Open' && name === 'code' ? 'Its code.' : ''),
  });
  const doc = (text: string) => `<annotation name="org.gtk.GDBus.DocString" value="${text}"/>\n`;
  assert.match(documented, `<interface name="org.example.Doors1">\n    ${doc('All doors.')}`);
  assert.match(documented, `"Open">\n      ${doc('Opens &quot;a&quot; &lt;door&gt;.')}`);
  assert.match(documented, doc('Its code.'));
  assert.is(documented.split('DocString').length - 1, 3);
});

test.run();
