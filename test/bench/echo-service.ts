import { Bus } from '../../src/dbus/bus.ts';
import { defineInterface, defineService } from '../../src/dbus/definition.ts';
import { Callers } from '../../src/dbus/server/caller.ts';
import { ObjectManager } from '../../src/dbus/server/object-manager.ts';
import { serve } from '../../src/dbus/server/serve.ts';
import { nameParsers } from '../../src/ids.ts';

const echoInterface = defineInterface({
  name: 'org.iotedge.Echo1',
  doc: 'Answers what it is sent.',
  methods: {
    Echo: { doc: 'The same bytes.', in: { data: 'ay' }, out: { data: 'ay' }, authorize: 'public' },
    Describe: { doc: 'All of it.', reads: true, out: { json: 's' }, authorize: 'public' },
  },
});
const echoService = defineService({
  name: 'echo',
  doc: 'Answers what it is sent.',
  busName: 'org.iotedge.Echo1',
  path: '/org/iotedge/Echo1',
  user: 'root',
  manager: echoInterface,
  child: { segment: 'none', interface: echoInterface },
  actions: {},
});

/** Serves the echo on a bus until the process is killed. */
async function main(address: string): Promise<void> {
  const bus = await Bus.connect(address);
  serve(bus, new ObjectManager(bus, echoService), {
    handlers: { Echo: ({ data }) => ({ data }) },
    resolvers: {},
    authorizer: { authorize: () => undefined },
    callers: await Callers.start(bus),
    names: nameParsers,
    logControl: { level: 'info', target: 'journal', syslogIdentifier: 'echo' },
    observer: { onDecision: () => undefined, onFailure: () => undefined },
  });
  await bus.requestName(echoService.busName);
}

void main(process.argv[2] ?? '');
