import { constants } from 'node:fs';
import { open } from 'node:fs/promises';
import { join } from 'node:path';
import { describeError, ServiceError } from '../../errors.ts';

const maxBytes = 4096;

/**
 * The password in a file: an absolute path, or the name of a credential of the unit. Unavailable when the file is
 * missing, or other users can read or change it.
 */
export async function readPassword(
  name: string,
  credentials = process.env['CREDENTIALS_DIRECTORY'],
): Promise<string> {
  try {
    return await passwordIn(pathOf(name, credentials));
  } catch (error) {
    throw new ServiceError('Unavailable', `password_file: ${describeError(error)}`);
  }
}

function pathOf(name: string, credentials: string | undefined): string {
  if (name.startsWith('/')) return name;
  if (credentials !== undefined) return join(credentials, name);
  throw new ServiceError('NotFound', `the unit has no credentials, and so none named "${name}"`);
}

async function passwordIn(path: string): Promise<string> {
  // opening a pipe would block
  await using file = await open(path, constants.O_RDONLY | constants.O_NONBLOCK);
  const stats = await file.stat();
  const refuse = (why: string): never => {
    throw new ServiceError('Unavailable', `${path} ${why}`);
  };
  if (!stats.isFile()) refuse('is not a regular file');
  if ((stats.mode & 0o006) !== 0) refuse('can be read or changed by everybody: chmod o-rw');
  const { buffer, bytesRead } = await file.read(Buffer.alloc(maxBytes + 1), 0, maxBytes + 1, 0);
  if (bytesRead > maxBytes) refuse('is too large');
  const password = buffer.toString('utf8', 0, bytesRead).replace(/\r?\n$/, '');
  buffer.fill(0);
  if (password === '') refuse('is empty');
  return password;
}
