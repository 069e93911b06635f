import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { promisify } from 'node:util';

const run = promisify(execFile);
const checkout = join(import.meta.dirname, '../../..');

const options = {
  client: ['-lsystemd'],
  flood: ['-lsystemd'],
  pkcs11: [`-I${checkout}/node_modules/pkcs11js/includes/pkcs11`, '-pthread'],
} as const;

/** Compiles a program in C into a directory, and returns its path. */
export async function compile(name: keyof typeof options, directory: string): Promise<string> {
  const source = join(checkout, `test/bench/native/${name}.c`);
  const program = join(directory, name);
  await run('cc', ['-O2', '-Wall', '-o', program, source, ...options[name]]);
  return program;
}
