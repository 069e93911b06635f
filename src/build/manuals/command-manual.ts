import type { exitCodes } from '../../cli/command.ts';
import { services } from '../../cli/systemd/units.ts';
import { type Option, ownOptionsOf, sharedOptions, type Verb } from './command-line.ts';
import { exitStatusSection } from './exit-statuses.ts';
import { head, paragraph, roff, section, seeAlso, terms } from './roff.ts';

const exitStatuses: Readonly<Record<keyof typeof exitCodes, string>> = {
  ok: 'It succeeded.',
  failed: 'It failed.',
  usage: 'The command line is wrong.',
  notAuthorized: 'The caller is not authorized.',
  unavailable: 'A service is not available, or its unit is not as it must be.',
  timedOut: 'A service did not reply in time.',
  degraded: 'A service works, but is degraded.',
  configuration: 'The configuration is wrong.',
  interrupted: 'It was interrupted; an operation that it had begun goes on.',
};

function synopsis({ words, positionals = [], more }: Verb): string {
  const names = [...positionals, ...(more === undefined ? [] : [`[${more}]...`])];
  return ['iotedgectl', words, '[OPTIONS]', ...names.map((name) => name.toUpperCase())].join(' ');
}

function entryOf({ name, short, value, help }: Option): readonly [string, string] {
  const names = short === undefined ? name : `${short}, ${name}`;
  return [value === undefined ? names : `${names} ${value}`, `${help}.`];
}

function verbText(verb: Verb): string {
  const options = ownOptionsOf(verb).map(entryOf);
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
        'It calls the four services of this device on the system bus, and asks systemd about their units; what a caller may do is decided by polkit, or by the rules in their configuration. A service that is idle is started by a call; `status` makes none to it without `--start`, and `system status` never.',
      ),
    ),
    section('COMMANDS', ...verbs.map(verbText)),
    section(
      'OPTIONS',
      terms([
        ...sharedOptions.map(entryOf),
        ['--version', 'print the version, without a command.'],
      ]),
    ),
    exitStatusSection(exitStatuses),
    section(
      'ENVIRONMENT',
      terms([['DBUS_SYSTEM_BUS_ADDRESS', 'The address of another bus than the system bus.']]),
    ),
    seeAlso('iotedge.yaml(5)', ...services.map(({ name }) => `iotedge-${name}(8)`)),
  ].join('');
}
