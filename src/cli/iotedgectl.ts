import { parseArgs } from 'node:util';
import { Bus, BusError, systemBusAddress } from '../dbus/bus.ts';
import { describeError, isServiceError, ServiceError } from '../errors.ts';
import { certificatesList } from './certificates-list.ts';
import { type Command, type CommandContext, exitCodes } from './command.ts';
import { configCheck } from './config-check.ts';
import { identityShow } from './identity-show.ts';
import { keysList } from './keys-list.ts';
import { modulesList } from './modules-list.ts';
import { printable } from './output.ts';
import { status } from './status.ts';

/** Every verb of the command line, in the order in which help lists them. */
export const commands: readonly Command[] = [
  status,
  keysList,
  certificatesList,
  identityShow,
  modulesList,
  configCheck,
];

class UsageError extends Error {}

/** Runs one command line; answers the exit code. Results go to `out`, errors to `err`. */
export async function iotedgectl(
  args: readonly string[],
  out: (text: string) => void,
  err: (text: string) => void,
): Promise<number> {
  let bus: Promise<Bus> | undefined;
  try {
    const command = findCommand(args);
    if (command === undefined) return help(args, out);
    const { positionals, options } = parseCommand(command, args);
    if (options['help'] === true) return commandHelp(command, out);
    const context: CommandContext = {
      bus: () => (bus ??= connect()),
      positionals,
      options,
      print: out,
    };
    return await command.run(context);
  } catch (error) {
    err(`iotedgectl: ${printable(describeError(error))}`);
    if (error instanceof UsageError) err("try 'iotedgectl --help'");
    return exitCodeOf(error);
  } finally {
    await bus?.then(
      (open) => open.close(),
      () => undefined, // the failure to connect has been reported
    );
  }
}

async function connect(): Promise<Bus> {
  try {
    return await Bus.connect(systemBusAddress());
  } catch (error) {
    const advice = 'is dbus running? DBUS_SYSTEM_BUS_ADDRESS names another bus';
    throw new ServiceError('Unavailable', `${describeError(error)} (${advice})`);
  }
}

function findCommand(args: readonly string[]): Command | undefined {
  return commands.find(({ words }) => words.split(' ').every((word, at) => args[at] === word));
}

function help(args: readonly string[], out: (text: string) => void): number {
  if (args[0] === '--version') {
    out(`iotedgectl ${process.env['IOTEDGE_VERSION'] ?? 'unbundled'}`);
    return exitCodes.ok;
  }
  if (args.length > 0 && !['--help', '-h', 'help'].includes(args[0] ?? '')) {
    throw new UsageError(notFound(args));
  }
  const width = Math.max(...commands.map(({ words }) => words.length));
  out('usage: iotedgectl COMMAND [--json] [--help]\n');
  for (const { words, summary } of commands) out(`  ${words.padEnd(width)}  ${summary}`);
  out('\nexit codes: 0 ok, 1 failed, 2 usage, 3 not authorized, 4 unavailable, 5 timed out,');
  out('            6 degraded, 78 configuration');
  return args.length === 0 ? exitCodes.usage : exitCodes.ok;
}

function notFound(args: readonly string[]): string {
  const [first = ''] = args;
  if (first.startsWith('-')) return `no option ${first} before a command`;
  const near = commands.map(({ words }) => words).filter((words) => words.startsWith(`${first} `));
  const known = near.length > 0 ? `, there is: ${near.join(', ')}` : '';
  return `no command ${JSON.stringify(args.slice(0, 2).join(' '))}${known}`;
}

function commandHelp(command: Command, out: (text: string) => void): number {
  const names = (command.positionals ?? []).map((name) => ` ${name.toUpperCase()}`).join('');
  out(`usage: iotedgectl ${command.words}${names} [OPTIONS]\n\n${command.summary}\n`);
  const lines = [['--json', 'JSON for programs; the text for people may change between versions']];
  for (const [name, option] of Object.entries(command.options ?? {})) {
    lines.push([`--${name}${option.type === 'string' ? ' VALUE' : ''}`, option.help]);
  }
  const width = Math.max(...lines.map(([option = '']) => option.length));
  for (const [option = '', text] of lines) out(`  ${option.padEnd(width)}  ${text}`);
  return exitCodes.ok;
}

function parseCommand(
  command: Command,
  args: readonly string[],
): Pick<CommandContext, 'positionals' | 'options'> {
  const rest = args.slice(command.words.split(' ').length);
  const parsed = parseOptions(command, rest);
  const wanted = command.positionals ?? [];
  if (parsed.options['help'] !== true && parsed.positionals.length !== wanted.length) {
    throw new UsageError(`${command.words} takes ${wanted.join(' ') || 'no arguments'}`);
  }
  return parsed;
}

function parseOptions(
  command: Command,
  args: readonly string[],
): Pick<CommandContext, 'positionals' | 'options'> {
  const options = {
    json: { type: 'boolean' },
    help: { type: 'boolean', short: 'h' },
    ...command.options,
  } as const;
  try {
    const { values, positionals } = parseArgs({ args: [...args], options, allowPositionals: true });
    return { positionals, options: { ...values } };
  } catch (error) {
    const [problem = ''] = describeError(error).split('. '); // what follows is about other programs
    throw new UsageError(`${command.words}: ${problem.charAt(0).toLowerCase()}${problem.slice(1)}`);
  }
}

function exitCodeOf(error: unknown): number {
  if (error instanceof UsageError) return exitCodes.usage;
  if (isServiceError(error, 'AccessDenied')) return exitCodes.notAuthorized;
  if (isServiceError(error, 'InteractiveAuthorizationRequired')) return exitCodes.notAuthorized;
  if (!isServiceError(error, 'Unavailable')) return exitCodes.failed;
  return isLate(error.cause) ? exitCodes.timedOut : exitCodes.unavailable;
}

/** Whether the bus, or the wait for it, says that an answer did not come. */
function isLate(cause: unknown): boolean {
  return cause instanceof BusError && /\.(NoReply|Timeout|TimedOut)$/.test(cause.errorName);
}
