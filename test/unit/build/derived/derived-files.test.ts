import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { apiReference } from '../../../../src/build/derived/api-reference.ts';
import { busActivation } from '../../../../src/build/derived/bus-activation.ts';
import { busPolicy } from '../../../../src/build/derived/bus-policy.ts';
import { derivedFiles } from '../../../../src/build/derived/derived-files.ts';
import { polkitActions } from '../../../../src/build/derived/polkit-actions.ts';
import { defineInterface, defineService } from '../../../../src/dbus/definition.ts';

const test = suite('generators');

const service = defineService({
  name: 'doors',
  doc: 'Opens doors.',
  busName: 'org.example.Doors1',
  path: '/org/example/Doors1',
  user: 'doors',
  manager: defineInterface({
    name: 'org.example.Doors1',
    doc: 'All doors.',
    methods: {
      Open: {
        doc: 'Opens a door.',
        in: { door: 's' },
        options: { wide: 'b' },
        out: { opened: 'b' },
        authorize: { action: 'org.example.doors1.open', details: ['door'] },
      },
      Count: { doc: 'How many.', out: { count: 'u' }, authorize: 'public' },
    },
  }),
  child: {
    segment: 'door',
    interface: defineInterface({ name: 'org.example.Doors1.Door', doc: 'A door.' }),
  },
  actions: {
    'org.example.doors1.open': { description: 'Open & enter', message: 'Open $(door)?' },
    'org.example.doors1.look': {
      description: 'Look',
      message: 'Look?',
      defaults: { any: 'yes', inactive: 'yes', active: 'yes' },
    },
  },
});

const rules = {
  errorName: (code: string) => `org.example.Error.${code}`,
  idRule: 'a letter',
  moduleRule: 'a digit',
};

test('let only the user of the service own its name, and deny file descriptors to everyone', () => {
  const policy = busPolicy(service);
  assert.match(policy, '<policy user="doors">\n    <allow own="org.example.Doors1"/>');
  assert.match(policy, '<allow send_destination="org.example.Doors1" max_fds="0"/>');
  assert.is(policy.match(/own=/g)?.length, 1);
});

test('leave the start of a service to systemd alone', () => {
  const lines = busActivation(service).split('\n');
  assert.ok(lines.includes('Name=org.example.Doors1'));
  assert.ok(lines.includes('SystemdService=iotedge-doors.service'));
  assert.ok(lines.includes('Exec=/bin/false'), 'without systemd, a bus would run it itself');
});

test('let the user of the service ask polkit about others', () => {
  const policy = polkitActions(service);
  const owner = '<annotate key="org.freedesktop.policykit.owner">unix-user:doors</annotate>';
  assert.is(policy.split(owner).length - 1, 2);
});

test('deny an action by default and allow no retained authorization', () => {
  const policy = polkitActions(service);
  assert.match(policy, '<allow_any>no</allow_any>');
  assert.match(policy, '<allow_active>auth_admin</allow_active>');
  assert.match(policy, '<allow_any>yes</allow_any>');
  assert.not.match(policy, '_keep');
});

test('escape text in XML', () => {
  assert.match(polkitActions(service), 'Open &amp; enter');
});

test('document arguments, options, results and the required authorization', () => {
  const page = apiReference(service, rules);
  assert.match(page, '### Open(door s, options a{sv}) → opened b');
  assert.match(page, '| argument | `door` | `s` |');
  assert.match(page, '| option | `wide` | `b` |');
  assert.match(page, 'who is granted `org.example.doors1.open` (`door`)');
  assert.match(page, 'Who may call: everybody.');
});

test('generate two introspection files, a bus policy, an activation file, actions and a page for each of four services', () => {
  const paths = [...derivedFiles({ introspect: () => '', rules, schemas: { keys: {} } }).keys()];
  assert.is(paths.length, 4 * 6 + 1);
  assert.ok(paths.includes('dbus-policy/interfaces/org.iotedge.Keys1.Key.xml'));
  assert.ok(paths.includes('dbus-policy/org.iotedge.Keys1.conf'));
  // dbus-daemon requires the name of the bus name
  assert.ok(paths.includes('dbus-policy/org.iotedge.Keys1.service'));
  assert.ok(paths.includes('dbus-policy/org.iotedge.keys1.policy'));
  assert.ok(paths.includes('config-examples/schema/keys.json'));
});

test.run();
