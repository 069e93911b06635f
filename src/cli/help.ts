import type { Command, CommandOption } from './command.ts';

/** The options of every command. */
export const commonOptions = {
  json: {
    type: 'boolean',
    help: 'JSON for programs; the text for people may change between versions',
  },
  help: { type: 'boolean', short: 'h', help: 'explain the command' },
} as const satisfies Readonly<Record<string, CommandOption>>;

const helpWords = ['--help', '-h', 'help'];

/** The words of a command line that names no command, without those that request help. */
export interface HelpRequest {
  readonly asked: boolean;
  readonly words: readonly string[];
}

/**
 * Parses the subject of a request for help: `keys --help`, `help keys list`, an empty command line; options need a
 * command.
 */
export function helpRequest(args: readonly string[]): HelpRequest {
  const rest = args.filter((arg) => !helpWords.includes(arg));
  const asked = rest.length < args.length;
  const option = rest.findIndex((arg) => arg.startsWith('-'));
  return { asked, words: asked && option >= 0 ? rest.slice(0, option) : rest };
}

/** The commands whose words begin with these. */
export function commandsOf(
  commands: readonly Command[],
  words: readonly string[],
): readonly Command[] {
  return commands.filter((command) => {
    const own = command.words.split(' ');
    return words.every((word, at) => own[at] === word);
  });
}

/** A line for each command, and the meaning of exit codes. */
export function overview(commands: readonly Command[]): string {
  const width = Math.max(...commands.map(({ words }) => words.length));
  return [
    'usage: iotedgectl COMMAND [--json] [--help]\n',
    ...commands.map(({ words, summary }) => `  ${words.padEnd(width)}  ${summary}`),
    '\nexit codes: 0 ok, 1 failed, 2 usage, 3 not authorized, 4 unavailable, 5 timed out,',
    '            6 degraded, 78 configuration, 130 interrupted',
  ].join('\n');
}

/** One command with its options. */
export function commandHelp(command: Command): string {
  const { words, summary, about, positionals = [], more, options = {} } = command;
  const names = positionals.map((name) => ` ${name.toUpperCase()}`).join('');
  const others = more === undefined ? '' : ` [${more.toUpperCase()}...]`;
  const lines = [
    ...Object.entries(options).map(([name, { type, short, value = 'VALUE', help }]) => [
      `${short === undefined ? '' : `-${short}, `}--${name}${type === 'string' ? ` ${value}` : ''}`,
      help,
    ]),
    ['--json', commonOptions.json.help],
  ];
  const width = Math.max(...lines.map(([option = '']) => option.length));
  return [
    `usage: iotedgectl ${words}${names}${others} [OPTIONS]\n\n${summary}\n`,
    ...(about === undefined ? [] : [`${about}\n`]),
    ...lines.map(([option = '', text = '']) => `  ${option.padEnd(width)}  ${text}`),
  ].join('\n');
}
