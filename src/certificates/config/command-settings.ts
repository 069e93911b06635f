/** The settings of an issuer that is a program of the device, with the helper protocol of certmonger. */
import { normalize } from 'node:path';
import { quoted } from '../../quoted.ts';
import type { SettingPath } from '../../service/config/config-problem.ts';
import { filePathOf } from '../../service/config/file-path.ts';
import type { ParseContext } from '../../service/config/parse-context.ts';

/** A helper, parsed. */
export interface CommandSettings {
  readonly method: 'command';
  /** The absolute path of the program, and its arguments. */
  readonly command: readonly [string, ...string[]];
  readonly timeoutMs: number;
}

/** The settings as the schema accepts them. */
export interface CommandYaml {
  readonly command?: readonly string[];
  readonly timeout_s?: number;
}

const defaultTimeoutS = 120;

/** JSON schemas of the settings; without defaults, which would be there in the settings of other methods, too. */
export const commandProperties = {
  command: {
    description:
      'command: a program with the helper protocol of certmonger, by its absolute path, and its arguments.',
    type: 'array',
    items: { type: 'string', pattern: '^[^\\u0000]*$' },
    minItems: 1,
  },
  timeout_s: {
    description: 'est: for one request, by default 60. command: for one run, by default 120.',
    type: 'number',
    minimum: 1,
    maximum: 600,
  },
} as const;

/** Parses the settings of a helper; reports those that no program can be run with. */
export function parseCommand(
  { command, timeout_s: timeoutS = defaultTimeoutS }: CommandYaml,
  path: SettingPath,
  context: Pick<ParseContext, 'report'>,
): CommandSettings {
  const [program = '', ...rest] = command ?? [];
  if (command === undefined) context.report([...path, 'method'], 'command needs command');
  else if (!isProgram(program)) {
    const text = `${quoted(program)} is not the absolute path of a program`;
    context.report([...path, 'command', 0], text);
  }
  return { method: 'command', command: [program, ...rest], timeoutMs: timeoutS * 1000 };
}

/** Every directory above a program is checked, so its path has each of them once. */
function isProgram(text: string): boolean {
  return filePathOf(text) === text && normalize(text) === text && !text.endsWith('/');
}
