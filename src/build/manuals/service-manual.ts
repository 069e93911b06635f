import { services } from '../../cli/systemd/units.ts';
import type { ServiceDefinition } from '../../dbus/definition.ts';
import { exitStatusSection } from './exit-statuses.ts';
import { head, paragraph, section, seeAlso, terms, verbatim } from './roff.ts';

const exitStatuses = {
  ok: 'It was stopped, or was idle.',
  failed: 'It failed, or lost the bus; systemd starts it again.',
  usage: 'The command line is wrong. systemd does not start it again.',
  configuration:
    'The configuration is wrong; the journal names every mistake. systemd does not start it again by itself.',
};

/** What is special about the units. */
const lives: Readonly<Record<string, string>> = {
  keys: 'A call starts it, and it ends when it is idle. A PIN can be the credential `iotedge-keys.pin` in /etc/credstore; a `pin_file` in keys.yaml names it. Drop-ins for tokens that are devices, files or reached by the network, and for an encrypted PIN, are in /usr/share/doc/iotedge-dbus/drop-ins.',
  certificates:
    'A call starts it, it ends when it is idle, and `iotedge-certificates.timer` starts it every 10 minutes for what is due.',
  identity:
    'A call starts it, it ends when it is idle, and `iotedge-identity.timer` starts it every 10 minutes for what is due.',
  modules:
    'It is started at boot, and does not end when it is idle. Without an engine it waits for one. A stop leaves the modules running. `iotedge-modules-management.socket` and `iotedge-modules-workload.socket` hold its sockets while it restarts.',
};

function methods({ manager }: ServiceDefinition): string {
  const entries = Object.entries(manager.methods ?? {});
  return terms(entries.map(([name, { doc }]) => [name, doc]));
}

/** The page of a service; `help` is the output of its `--help`. */
export function serviceManual(service: ServiceDefinition, help: string): string {
  const { name, busName, doc, user } = service;
  const program = `iotedge-${name}`;
  const [usage = ''] = help.split('\n');
  const options = help.split('\n').filter((line) => line.startsWith('  --'));
  return [
    head(program, 8, doc.split(/[.:;] ?/)[0] ?? doc),
    section(
      'SYNOPSIS',
      verbatim(
        `${program}.service\n/usr/lib/iotedge/bin/${usage.replace(program, `${program}.cjs`)}`,
      ),
    ),
    section(
      'DESCRIPTION',
      paragraph(doc),
      paragraph(
        `It serves \`${busName}\` on the system bus, as the user \`${user}\`. ${lives[name] ?? ''}`,
      ),
    ),
    section('OPTIONS', verbatim(options.map((line) => line.slice(2)).join('\n'))),
    section(
      'METHODS',
      paragraph(`Of \`${busName}\`; /usr/share/doc/iotedge-dbus/api/${busName}.md has the whole.`),
      methods(service),
    ),
    section(
      'SIGNALS',
      terms([
        [
          'SIGHUP',
          'It reads its configuration again: a good one takes effect without losing a call. One that is wrong, or that changes a setting which takes a restart, changes nothing; the journal says why.',
        ],
        [
          'SIGTERM',
          'It ends. Calls that are pending have 3 seconds for their replies; the others are cancelled.',
        ],
      ]),
    ),
    exitStatusSection(exitStatuses),
    section(
      'FILES',
      terms([
        [`/etc/iotedge/${name}.yaml, /etc/iotedge/${name}.d/*.yaml`, 'The configuration.'],
        [`/var/lib/iotedge/${name}`, 'The state. Only the service and root can read it.'],
        [`/usr/share/iotedge/schema/${name}.json`, 'The schema of the configuration, for editors.'],
        [`/usr/share/dbus-1/interfaces/${busName}.xml`, 'The interface, for code generators.'],
      ]),
    ),
    seeAlso(
      'iotedgectl(1)',
      'iotedge.yaml(5)',
      ...services.filter((other) => other !== service).map((other) => `iotedge-${other.name}(8)`),
    ),
  ].join('');
}
