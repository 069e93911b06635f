import { parseArgs } from 'node:util';
import { Bus, systemBusAddress } from '../dbus/bus.ts';
import { describeError, isServiceError, ServiceError } from '../errors.ts';
import { quoted } from '../quoted.ts';
import { type Command, type CommandContext, exitCodes, UsageError } from './command.ts';
import { exitCodeOf } from './exit-code.ts';
import { commandHelp, commandsOf, helpRequest, overview } from './help.ts';
import { printable } from './output.ts';
import { certificatesCancel } from './verbs/certificates/cancel.ts';
import { certificatesCsr } from './verbs/certificates/csr.ts';
import { certificatesDelete } from './verbs/certificates/delete.ts';
import { certificatesExport } from './verbs/certificates/export.ts';
import { certificatesImport } from './verbs/certificates/import.ts';
import { certificatesList } from './verbs/certificates/list.ts';
import { certificatesRenew } from './verbs/certificates/renew.ts';
import { certificatesRequest } from './verbs/certificates/request.ts';
import { certificatesShow } from './verbs/certificates/show.ts';
import { certificatesTrustBundle } from './verbs/certificates/trust-bundle.ts';
import { certificatesWatch } from './verbs/certificates/watch.ts';
import { check } from './verbs/check.ts';
import { configApply } from './verbs/config-apply.ts';
import { configCheck } from './verbs/config-check.ts';
import { identityShow } from './verbs/identity-show.ts';
import { keysDelete } from './verbs/keys-delete.ts';
import { keysList } from './verbs/keys-list.ts';
import { modulesCancel } from './verbs/modules/cancel.ts';
import { modulesCreate } from './verbs/modules/create.ts';
import { modulesDelete } from './verbs/modules/delete.ts';
import { modulesExecCommand } from './verbs/modules/exec-command.ts';
import { modulesList } from './verbs/modules/list.ts';
import { modulesLogs } from './verbs/modules/logs.ts';
import { modulesRestart } from './verbs/modules/restart.ts';
import { modulesShow } from './verbs/modules/show.ts';
import { modulesStart } from './verbs/modules/start.ts';
import { modulesStats } from './verbs/modules/stats.ts';
import { modulesStop } from './verbs/modules/stop.ts';
import { modulesUpdate } from './verbs/modules/update.ts';
import { status } from './verbs/status.ts';
import { systemLogs } from './verbs/system-logs.ts';
import { systemPrepareImage } from './verbs/system-prepare-image.ts';
import { systemRestart } from './verbs/system-restart.ts';
import { systemStatus } from './verbs/system-status.ts';

/** Every verb of the command line, in the order in which help lists them. */
export const commands: readonly Command[] = [
  status,
  check,
  keysList,
  keysDelete,
  certificatesList,
  certificatesShow,
  certificatesRequest,
  certificatesRenew,
  certificatesCancel,
  certificatesImport,
  certificatesExport,
  certificatesDelete,
  certificatesTrustBundle,
  certificatesCsr,
  certificatesWatch,
  identityShow,
  modulesList,
  modulesShow,
  modulesCreate,
  modulesUpdate,
  modulesStart,
  modulesStop,
  modulesRestart,
  modulesDelete,
  modulesCancel,
  modulesLogs,
  modulesStats,
  modulesExecCommand,
  configCheck,
  configApply,
  systemStatus,
  systemLogs,
  systemRestart,
  systemPrepareImage,
];

type Print = (text: string) => void;

/** Runs one command line; returns the exit code. Results go to `out`, errors to `err`. */
export async function iotedgectl(args: readonly string[], out: Print, err: Print): Promise<number> {
  let bus: Promise<Bus> | undefined;
  const command = findCommand(args);
  try {
    if (command === undefined) return explain(args, { out, err });
    const { positionals, options } = parseCommand(command, args);
    if (options['help'] === true) {
      out(commandHelp(command));
      return exitCodes.ok;
    }
    const context: CommandContext = {
      bus: () => (bus ??= connect()),
      positionals,
      options,
      print: out,
      note: err,
    };
    return await command.run(context);
  } catch (error) {
    err(`iotedgectl: ${printable(describeError(error))}`);
    const advice = adviceOn(error, command);
    if (advice !== undefined) err(advice);
    return exitCodeOf(error);
  } finally {
    await bus?.then(
      (open) => open.close(),
      () => undefined, // the failure to connect has been reported
    );
  }
}

/** What to do about a command that failed, where it is the same for every command. */
function adviceOn(error: unknown, command: Command | undefined): string | undefined {
  if (error instanceof UsageError) {
    return `try 'iotedgectl ${command === undefined ? '' : `${command.words} `}--help'`;
  }
  // the message begins with the action; root is refused only what the configuration forbids everybody
  const isRefused =
    isServiceError(error, 'AccessDenied') && error.message.startsWith('org.iotedge.');
  if (!isRefused || process.getuid?.() === 0) return undefined;
  return 'root may, and who is allowed the action by polkit or by the configuration of the service';
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

/** Handles a command line without a command: prints the version or help, throws UsageError for an unknown one. */
function explain(
  args: readonly string[],
  { out, err }: { readonly out: Print; readonly err: Print },
): number {
  if (args[0] === '--version') {
    out(`iotedgectl ${process.env['IOTEDGE_VERSION'] ?? 'unbundled'}`);
    return exitCodes.ok;
  }
  const { asked, words } = helpRequest(args);
  const [one, ...others] = commandsOf(commands, words);
  if (one === undefined) throw new UsageError(notFound(words));
  const isExact = others.length === 0 && words.join(' ') === one.words;
  (asked ? out : err)(isExact ? commandHelp(one) : overview([one, ...others]));
  return asked ? exitCodes.ok : exitCodes.usage;
}

function notFound(words: readonly string[]): string {
  const [first = ''] = words;
  if (first.startsWith('-')) return `no option ${first} before a command`;
  const near = commandsOf(commands, [first]).map((command) => command.words);
  const known = near.length > 0 ? `, there is: ${near.join(', ')}` : '';
  return `no command ${quoted(words.join(' '))}${known}`;
}

function parseCommand(
  command: Command,
  args: readonly string[],
): Pick<CommandContext, 'positionals' | 'options'> {
  const rest = args.slice(command.words.split(' ').length);
  const parsed = parseOptions(command, rest);
  const wanted = command.positionals ?? [];
  const isWrong =
    command.more === undefined
      ? parsed.positionals.length !== wanted.length
      : parsed.positionals.length < wanted.length;
  if (parsed.options['help'] !== true && isWrong) {
    const names = wanted.map((name) => name.toUpperCase()).join(' ');
    throw new UsageError(`${command.words} takes ${names || 'no arguments'}`);
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
    const [problem = ''] = describeError(error).split(/\.\s/); // the sentences that follow are about other programs
    throw new UsageError(`${command.words}: ${problem.charAt(0).toLowerCase()}${problem.slice(1)}`);
  }
}
