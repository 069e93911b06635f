import { readFile } from 'node:fs/promises';
import type { Handle } from 'pkcs11js';
import { ServiceError, systemCode } from '../../../errors.ts';
import type { PinSource } from '../../config/pkcs11-uri.ts';
import { ckrName } from './ckr.ts';
import { CKS, CKU_USER } from './constants.ts';
import type { Pkcs11Library } from './library.ts';

/** Logs a session in, unless another session of this process is logged in. Throws the error of the token. */
export function login(library: Pkcs11Library, session: Handle, pin: string): void {
  if (isUser(library, session)) return;
  try {
    library.api.C_Login(session, CKU_USER, pin);
  } catch (error) {
    if (ckrName(error) !== 'CKR_USER_ALREADY_LOGGED_IN') throw error;
  }
}

/** Whether private objects are visible in a session. */
export function isUser(library: Pkcs11Library, session: Handle): boolean {
  const { state } = library.api.C_GetSessionInfo(session);
  return state === CKS.RO_USER_FUNCTIONS || state === CKS.RW_USER_FUNCTIONS;
}

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
