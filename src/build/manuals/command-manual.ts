import { optionsOf, type Verb } from './command-line.ts';
import { head, paragraph, roff, section, seeAlso, terms } from './roff.ts';

const exitStatuses = [
  ['0', 'It succeeded.'],
  ['1', 'It failed.'],
  ['2', 'The command line is wrong.'],
  ['3', 'The caller is not authorized.'],
  ['4', 'A service is not available.'],
  ['5', 'A service did not reply in time.'],
  ['6', 'A service works, but is degraded.'],
  ['78', 'The configuration is wrong.'],
] as const;

function synopsis({ words, positionals = [], more }: Verb): string {
  const names = [...positionals, ...(more === undefined ? [] : [`[${more}]...`])];
  return ['iotedgectl', words, '[OPTIONS]', ...names.map((name) => name.toUpperCase())].join(' ');
}

function verbText(verb: Verb): string {
  const options = optionsOf(verb)
    .filter(({ name }) => name !== '--json' && name !== '--help')
    .map(({ name, short, value, help }): readonly [string, string] => {
      const names = short === undefined ? name : `${short}, ${name}`;
      return [value === undefined ? names : `${names} ${value}`, `${help}.`];
    });
  const about = verb.about === undefined ? '' : paragraph(verb.about);
  const list = options.length === 0 ? '' : `.RS\n${terms(options)}.RE\n`;
  return `.SS ${roff(synopsis(verb))}\n${roff(verb.summary)}.\n${about}${list}`;
}

/** The page of iotedgectl. */
export function commandManual(verbs: readonly Verb[]): string {
  return [
    head('iotedgectl', 1, 'show and check the IoT Edge services'),
    section('SYNOPSIS', `${roff('iotedgectl COMMAND [--json] [--help]')}\n`),
    section(
      'DESCRIPTION',
      paragraph(
        'It asks the four services of this device on the system bus; what a caller may do is decided by polkit, or by the rules in their configuration. A service that is idle is started when it has to reply.',
      ),
    ),
    section('COMMANDS', ...verbs.map(verbText)),
    section(
      'OPTIONS',
      terms([
        ['--json', 'Print JSON for programs. The text for people may change between versions.'],
        ['-h, --help', 'Explain the command.'],
        ['--version', 'Print the version, without a command.'],
      ]),
    ),
    section('EXIT STATUS', terms(exitStatuses)),
    section(
      'ENVIRONMENT',
      terms([['DBUS_SYSTEM_BUS_ADDRESS', 'The address of another bus than the system bus.']]),
    ),
    seeAlso(
      'iotedge.yaml(5)',
      'iotedge-keys(8)',
      'iotedge-certificates(8)',
      'iotedge-identity(8)',
      'iotedge-modules(8)',
    ),
  ].join('');
}
