import type { ServiceDefinition } from '../../dbus/definition.ts';
import { head, paragraph, section, seeAlso, terms, verbatim } from './roff.ts';

const exitStatuses = [
  ['0', 'It was stopped, or had nothing to do.'],
  ['1', 'It failed, or lost the bus; systemd starts it again.'],
  ['2', 'The command line is wrong.'],
  [
    '78',
    'The configuration is wrong; the journal names every mistake. systemd does not repeat it.',
  ],
] as const;

/** What is special about the units. */
const lives: Readonly<Record<string, string>> = {
  keys: 'A call starts it, and it ends when it is idle. A PIN can be the credential `iotedge-keys.pin`, see `systemd-creds`(1). Drop-ins for tokens that are devices or are reached by the network are in /usr/share/doc/iotedge-dbus/drop-ins.',
  certificates:
    'A call starts it, it ends when it is idle, and `iotedge-certificates.timer` starts it for renewals that are due.',
  identity:
    'A call starts it, it ends when it is idle, and `iotedge-identity.timer` starts it for what is due.',
  modules:
    'It is started at boot, and does not end. Without an engine it waits for one. A stop leaves the modules running unless the configuration says otherwise. `iotedge-modules-management.socket` and `iotedge-modules-workload.socket` hold its sockets while it restarts.',
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
          'It reads its configuration again: a good one takes effect without losing a call, a wrong one changes nothing.',
        ],
        ['SIGTERM', 'It replies to the calls that are pending, and ends.'],
      ]),
    ),
    section('EXIT STATUS', terms(exitStatuses)),
    section(
      'FILES',
      terms([
        [`/etc/iotedge/${name}.yaml, /etc/iotedge/${name}.d/*.yaml`, 'The configuration.'],
        [`/var/lib/iotedge/${name}`, 'The state, which nobody else can read.'],
        [`/usr/share/iotedge/schema/${name}.json`, 'The schema of the configuration, for editors.'],
        [`/usr/share/dbus-1/interfaces/${busName}.xml`, 'The interface, for code generators.'],
      ]),
    ),
    seeAlso(
      'iotedgectl(1)',
      'iotedge.yaml(5)',
      ...['keys', 'certificates', 'identity', 'modules']
        .filter((other) => other !== name)
        .map((other) => `iotedge-${other}(8)`),
    ),
  ].join('');
}
