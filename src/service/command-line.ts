import { join } from 'node:path';
import { parseArgs } from 'node:util';
import type { ServiceDefinition } from '../dbus/definition.ts';

/** The command that a service was started with. */
export type Command =
  | { readonly kind: 'serve'; readonly configDir: string; readonly stateDir: string | undefined }
  | { readonly kind: 'introspect' }
  | { readonly kind: 'help' }
  | { readonly kind: 'version' };

/** The command line is invalid; the process exits with 2. */
export class UsageError extends Error {
  override readonly name = 'UsageError';
}

/** Parses the arguments; throws UsageError when they are invalid. */
export function parseCommandLine(args: readonly string[]): Command {
  const values = parseOptions(args);
  if (values.help === true) return { kind: 'help' };
  if (values.version === true) return { kind: 'version' };
  if (values.introspect === true) return { kind: 'introspect' };
  const { 'config-dir': configDir = '/etc/iotedge', 'state-dir': stateDir } = values;
  if (configDir === '' || stateDir === '') throw new UsageError('a directory must have a name');
  return { kind: 'serve', configDir, stateDir };
}

function parseOptions(args: readonly string[]) {
  try {
    const flag = { type: 'boolean' } as const;
    const text = { type: 'string' } as const;
    const options = {
      'config-dir': text,
      'state-dir': text,
      introspect: flag,
      help: { ...flag, short: 'h' },
      version: flag,
    };
    return parseArgs({ args: [...args], options }).values;
  } catch (error) {
    if (error instanceof TypeError) throw new UsageError(lowerCase(error.message));
    throw error;
  }
}

/** Node's messages begin with a capital; ours do not. */
function lowerCase(message: string): string {
  return message.charAt(0).toLowerCase() + message.slice(1);
}

/** The text of `--help`. */
export function helpText({ name, busName, doc }: ServiceDefinition): string {
  return `iotedge-${name} [--config-dir DIR] [--state-dir DIR]

${doc}
Serves ${busName} on the system bus, or on the one of DBUS_SYSTEM_BUS_ADDRESS.

  --config-dir DIR  where ${name}.yaml and ${name}.d are (/etc/iotedge)
  --state-dir DIR   where state is kept (the configuration, $STATE_DIRECTORY, /var/lib/iotedge/${name})
  --introspect      print the D-Bus interfaces as XML
  --version         print the version
  --help            print this

SIGHUP reads the configuration again: a good one takes effect without losing a call, a wrong one changes nothing.
`;
}

/** The state directory: from the command line, the configuration, systemd, or the default. */
export function stateDirOf(
  name: string,
  choices: {
    readonly commandLine: string | undefined;
    readonly config: { readonly homedir_path?: string; readonly homedir?: string };
    readonly environment: NodeJS.ProcessEnv;
  },
): string {
  const { commandLine, config, environment } = choices;
  // systemd lists all state directories of the unit; the first is the one to use
  const fromSystemd = environment['STATE_DIRECTORY']?.split(':')[0];
  const configured = config.homedir_path ?? config.homedir;
  return commandLine ?? configured ?? (fromSystemd || undefined) ?? join('/var/lib/iotedge', name);
}
