import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { outputOf } from '../command.ts';

const root = fileURLToPath(new URL('../../../../', import.meta.url));

/** Compiles a program of `test/support/native` with the provider's client of the Keys service; returns its path. */
export async function compileWithKeysClient(
  name: string,
  directory: string,
  ...options: readonly string[]
): Promise<string> {
  const program = join(directory, name);
  const client = join(root, 'src/native/provider');
  const sources = [join(root, 'test/support/native', `${name}.c`), join(client, 'keys-client.c')];
  const common = `-D_GNU_SOURCE -Wall -Wextra -Werror -pthread -I${client} -o ${program}`;
  await outputOf('cc', [...common.split(' '), ...options, ...sources, '-lsystemd']);
  return program;
}
