import { readFile } from 'node:fs/promises';
import { ServiceError, systemCode } from '../../../errors.ts';
import type { PinSource } from '../../config/pkcs11-uri.ts';

/** The PIN of a source; a trailing line break of a file is not part of it. */
export async function readPin(source: PinSource | undefined): Promise<string | undefined> {
  if (source === undefined) return undefined;
  if (source.kind === 'value') return source.value;
  try {
    return (await readFile(source.path, 'utf8')).replace(/\r?\n$/, '');
  } catch (error) {
    const code = systemCode(error) ?? 'unknown error';
    const message = `the file with the PIN cannot be read: ${source.path}: ${code}`;
    throw new ServiceError('Unavailable', message, { cause: error });
  }
}
