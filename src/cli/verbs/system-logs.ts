import { once } from 'node:events';
import { existsSync } from 'node:fs';
import type { ServiceDefinition } from '../../dbus/definition.ts';
import { ServiceError, systemCode } from '../../errors.ts';
import { type Command, type CommandContext, exitCodes } from '../command.ts';
import { namedServices, serviceUnit } from '../systemd/units.ts';

/** `iotedgectl system logs`: journalctl with the units of the services. */
export const systemLogs: Command = {
  words: 'system logs',
  summary: 'show what the services wrote to the journal',
  about: `It runs journalctl, so the keys of its pager work. Without a name it shows all four services. To see records of
other users' programs you must be root or in the group systemd-journal. With --json one object a line, as
'journalctl -o json' prints it.`,
  more: 'service',
  options: {
    follow: { type: 'boolean', short: 'f', help: 'go on with new records until interrupted' },
    since: {
      type: 'string',
      value: 'TIME',
      help: "from a time on: '2026-01-31 12:00', today, yesterday, -2h",
    },
    lines: { type: 'string', short: 'n', value: 'COUNT', help: 'only the last records' },
  },
  async run({ positionals, options }) {
    const args = journalArguments(namedServices(positionals), options);
    if (!['/run/log/journal', '/var/log/journal'].some((path) => existsSync(path))) {
      throw new ServiceError('Unavailable', `no journal on this machine: ${otherwise}`);
    }
    return show(args);
  },
};

const otherwise = 'the services write to standard error of what starts them';

/** The arguments for journalctl. */
export function journalArguments(
  services: readonly ServiceDefinition[],
  options: CommandContext['options'],
): readonly string[] {
  const { since, lines } = options;
  return [
    `--output=${options['json'] === true ? 'json' : 'short-iso'}`,
    ...services.map((service) => `--unit=${serviceUnit(service)}`),
    ...(options['follow'] === true ? ['--follow'] : []),
    ...(typeof since === 'string' ? [`--since=${since}`] : []),
    ...(typeof lines === 'string' ? [`--lines=${lines}`] : []),
  ];
}

async function show(args: readonly string[]): Promise<number> {
  const { spawn } = await import('node:child_process'); // other verbs start without it
  try {
    const child = spawn('journalctl', args, { stdio: 'inherit' });
    const code = await once(child, 'exit').then(([first]: readonly unknown[]) => first);
    // an interrupt is the usual end of --follow
    return code === 0 || code === null ? exitCodes.ok : exitCodes.failed;
  } catch (error) {
    if (systemCode(error) !== 'ENOENT') throw error;
    throw new ServiceError('Unavailable', `no journalctl on this machine: ${otherwise}`);
  }
}
