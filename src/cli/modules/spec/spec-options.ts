import { readFileSync } from 'node:fs';
import { systemCode } from '../../../errors.ts';
import { quoted } from '../../../quoted.ts';
import { type CommandContext, textOption, textsOption, UsageError } from '../../command.ts';
import { readInput } from './input.ts';
import type { PublishedPort, RegistryCredentials, SpecChanges } from './spec.ts';

/** The options that say what a module is. */
export const specOptions = {
  file: {
    type: 'string',
    short: 'f',
    value: 'FILE',
    help: 'read the module from a file, - is standard input',
  },
  image: { type: 'string', value: 'IMAGE', help: 'its image' },
  port: {
    type: 'string',
    short: 'p',
    multiple: true,
    value: '[[IP:]HOST:]PORT[/udp]',
    help: 'publish a port of it on the host; may be repeated',
  },
  env: {
    type: 'string',
    short: 'e',
    multiple: true,
    value: 'NAME[=VALUE]',
    help: 'set a variable; without a value that of this environment, which ps does not show; may be repeated',
  },
  'env-file': {
    type: 'string',
    multiple: true,
    value: 'FILE',
    help: 'set the variables of a file of lines NAME=VALUE; may be repeated',
  },
  volume: {
    type: 'string',
    short: 'v',
    multiple: true,
    value: 'SOURCE:PATH[:ro]',
    help: 'mount a volume, or a path of the host that allowed_binds of modules.yaml lists; may be repeated',
  },
  restart: {
    type: 'string',
    value: 'POLICY',
    help: 'always, on-failure, on-unhealthy or never; by default always',
  },
  'start-after': {
    type: 'string',
    multiple: true,
    value: 'NAME',
    help: 'start it after another module; may be repeated',
  },
  pull: {
    type: 'string',
    value: 'POLICY',
    help: 'on-create asks the registry when it is created or updated, never uses the image that is there',
  },
  username: { type: 'string', value: 'USER', help: 'the user at the registry' },
  'password-file': {
    type: 'string',
    value: 'FILE',
    help: 'a file with the password for the registry',
  },
  'password-stdin': {
    type: 'boolean',
    help: 'read the password for the registry from standard input',
  },
} as const;

/** What the options say about a module; `command` are the words behind its name. */
export async function changesOf(
  context: Pick<CommandContext, 'options'>,
  command: readonly string[],
): Promise<SpecChanges> {
  const listed = <T>(name: string, parse: (text: string) => T): readonly T[] | undefined => {
    const texts = textsOption(context, name);
    return texts.length === 0 ? undefined : texts.map(parse);
  };
  return {
    image: textOption(context, 'image'),
    ports: listed('port', publishedPort),
    binds: listed('volume', bind),
    command: command.length === 0 ? undefined : command,
    env: Object.fromEntries([
      ...textsOption(context, 'env-file').flatMap(variablesIn),
      ...textsOption(context, 'env').map(variable),
    ]),
    restart: textOption(context, 'restart'),
    startAfter: listed('start-after', (name) => name),
    pull: textOption(context, 'pull'),
    credentials: await credentialsOf(context),
  };
}

/** A port as docker takes it: `80`, `8080:80`, `127.0.0.1:8080:80/udp`, `[::1]:8080:80`. */
export function publishedPort(text: string): PublishedPort {
  const match =
    /^(?:(?:(\[[0-9a-f:.]+\]|[0-9.]+):)?(\d{0,5}):)?(\d{1,5})(?:\/(tcp|udp|sctp))?$/i.exec(text);
  const [, ip = '', host = '', port = '', protocol = 'tcp'] = match ?? [];
  const isPort = (number: string) => Number(number) >= 1 && Number(number) <= 65535;
  if (match === null || !isPort(port) || (host !== '' && !isPort(host))) {
    throw new UsageError(`--port ${quoted(text)} is not [[IP:]HOST:]PORT[/udp]`);
  }
  const hostIp = ip.replace(/^\[|\]$/g, '');
  return { port: `${Number(port)}/${protocol.toLowerCase()}`, hostIp, hostPort: host };
}

/** A mount as docker takes it: `data:/var/lib/data`, `/dev/log:/dev/log:ro`. */
export function bind(text: string): string {
  const [source = '', target = '', mode = 'rw', ...rest] = text.split(':');
  const isSource = source.startsWith('/') || /^[A-Za-z0-9][A-Za-z0-9_.-]*$/.test(source);
  if (isSource && target.startsWith('/') && /^(ro|rw)$/.test(mode) && rest.length === 0)
    return text;
  const form = 'SOURCE:PATH[:ro], where SOURCE is the name of a volume or an absolute path';
  throw new UsageError(`--volume ${quoted(text)} is not ${form}`);
}

/** A variable with its value; without one it has that of this process. */
function variable(text: string): readonly [string, string] {
  const at = text.indexOf('=');
  const name = at === -1 ? text : text.slice(0, at);
  if (name === '') throw new UsageError('--env needs the name of a variable');
  // the text may be a secret in the wrong place
  if (at !== -1) return [name, text.slice(at + 1)];
  const value = process.env[name];
  if (value === undefined)
    throw new UsageError(`there is no variable ${quoted(name)} in this environment`);
  return [name, value];
}

/** The variables of a file as docker reads it: `NAME=VALUE`, a NAME alone, comments; quotes are part of a value. */
function variablesIn(file: string): readonly (readonly [string, string])[] {
  const lines = readText(file, 'the file of variables').split(/\r?\n/);
  const isVariable = (line: string) => line.trim() !== '' && !line.startsWith('#');
  return lines.filter(isVariable).map((line) => variable(line.trimStart()));
}

async function credentialsOf(
  context: Pick<CommandContext, 'options'>,
): Promise<RegistryCredentials | undefined> {
  const username = textOption(context, 'username');
  const file = textOption(context, 'password-file');
  const isPiped = context.options['password-stdin'] === true;
  if (username === undefined && file === undefined && !isPiped) return undefined;
  if (username === undefined) throw new UsageError('a password needs --username');
  if (file === undefined && !isPiped) {
    throw new UsageError('--username needs --password-stdin or --password-file');
  }
  if (file !== undefined && isPiped) throw new UsageError('one password is enough');
  if (isPiped && textOption(context, 'file') === '-') {
    throw new UsageError('standard input is either the file or the password');
  }
  const text = file === undefined ? await readInput() : readText(file, 'the password');
  const password = text.replace(/\r?\n$/, '');
  if (password === '') throw new UsageError('the password is empty');
  return { username, password };
}

/** The text of a file; UsageError when it cannot be read. */
export function readText(file: string, what: string): string {
  try {
    return readFileSync(file, 'utf8');
  } catch (error) {
    throw new UsageError(
      `${what} could not be read: ${file}: ${systemCode(error) ?? 'unreadable'}`,
    );
  }
}
