import { closeSync, openSync, writeSync } from 'node:fs';
import { open } from 'node:fs/promises';
import { ServiceError, systemCode } from '../../errors.ts';
import { quoted } from '../../quoted.ts';
import { type CommandContext, textOption, UsageError } from '../command.ts';
import { maxPasswordBytes, typedLine, withoutLineBreak } from './typed-line.ts';

/** The option of a verb that reads or writes a file with a password. */
export const passwordFileOption = {
  'password-file': {
    type: 'string',
    value: 'FILE',
    help: 'the password of the file, - is the standard input; without it the terminal asks',
  },
} as const;

/** Octets that are wiped when disposed. */
export interface Secret extends Disposable {
  readonly octets: Buffer;
}

/**
 * The password from `--password-file`, or typed at the terminal without echo: twice where it is a new one. Never from
 * the command line or the environment, which other processes can read.
 */
export async function readPassword(
  context: Pick<CommandContext, 'options'>,
  { question, isNew = false }: { readonly question: string; readonly isNew?: boolean },
): Promise<Secret> {
  const file = textOption(context, 'password-file');
  if (file !== undefined) return secret(await passwordIn(file));
  const octets = await askAtTerminal(question);
  if (isNew) {
    const again = await askAtTerminal('Repeat it: ');
    const isSame = again.equals(octets);
    again.fill(0);
    if (!isSame) {
      octets.fill(0);
      throw new UsageError('the passwords are not the same');
    }
  }
  return secret(octets);
}

function secret(octets: Buffer): Secret {
  return { octets, [Symbol.dispose]: () => void octets.fill(0) };
}

async function passwordIn(path: string): Promise<Buffer> {
  const octets = Buffer.alloc(maxPasswordBytes + 2);
  let length = 0;
  try {
    await using file = path === '-' ? undefined : await open(path);
    const stream = file?.createReadStream({ autoClose: false }) ?? process.stdin;
    for await (const piece of stream as AsyncIterable<Buffer>) {
      length += piece.copy(octets, length);
      const isCut = length === octets.length;
      piece.fill(0);
      if (isCut) throw tooLong();
    }
  } catch (error) {
    octets.fill(0);
    const code = systemCode(error);
    if (code === undefined) throw error;
    throw new UsageError(`the file of the password ${quoted(path)} cannot be read (${code})`);
  }
  return withoutLineBreak(octets.subarray(0, length));
}

function tooLong(): UsageError {
  return new UsageError(`the password is longer than ${maxPasswordBytes} bytes`);
}

async function askAtTerminal(question: string): Promise<Buffer> {
  const { ReadStream } = await import('node:tty');
  const [input, output] = openTerminal();
  const stream = new ReadStream(input);
  try {
    stream.setRawMode(true); // before the question: what is typed after it has no echo
    writeSync(output, question);
    // a stream that is destroyed leaves the mode as it is
    const line = await typedLine(stream.iterator({ destroyOnReturn: false }));
    stream.setRawMode(false);
    writeSync(output, '\n');
    if (line === 'too long') throw tooLong();
    if (line === 'end of input') throw new ServiceError('Cancelled', 'no password was typed');
    if (line === 'interrupted') {
      process.kill(process.pid, 'SIGINT'); // as the terminal does outside of its raw mode
      throw new ServiceError('Cancelled', 'interrupted');
    }
    return line;
  } finally {
    stream.setRawMode(false);
    stream.destroy();
    closeSync(output);
  }
}

function openTerminal(): readonly [number, number] {
  try {
    return [openSync('/dev/tty', 'r'), openSync('/dev/tty', 'w')];
  } catch {
    // ENXIO for a process without a terminal
    throw new UsageError('there is no terminal to ask for the password at: add --password-file');
  }
}
