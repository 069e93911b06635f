import { readFile } from 'node:fs/promises';
import type { Handle } from 'pkcs11js';
import { ServiceError } from '../../errors.ts';
import { CKF, CKS, CKU_USER } from './constants.ts';
import { ckrName } from './errors.ts';
import type { Pkcs11Module } from './module.ts';
import { type FoundToken, unpadded } from './slots.ts';
import type { PinSource } from './uri.ts';

/**
 * Logs a session in. A PIN that a token refused is not tried again while the process lives, and a token that
 * has one try left is not tried at all: no retry of ours ever locks a PIN.
 */
export function login(
  module: Pkcs11Module,
  { info }: FoundToken,
  { session, pin }: { readonly session: Handle; readonly pin: string | undefined },
): void {
  if ((info.flags & CKF.LOGIN_REQUIRED) === 0 || isUser(module, session)) return;
  const serial = unpadded(info.serialNumber);
  const refused = module.refusedLogins.get(serial) ?? refusedByFlags(info.flags);
  if (refused !== undefined) throw loginRefused(refused);
  if (pin === undefined) throw new ServiceError('Unavailable', 'no PIN of the token is configured');
  try {
    module.api.C_Login(session, CKU_USER, pin);
  } catch (error) {
    const name = ckrName(error);
    if (name === 'CKR_USER_ALREADY_LOGGED_IN') return;
    if (name?.startsWith('CKR_PIN_')) {
      module.refusedLogins.set(serial, name);
      throw loginRefused(name);
    }
    throw error;
  }
}

/** Whether private objects are visible in a session. */
export function isUser(module: Pkcs11Module, session: Handle): boolean {
  const { state } = module.api.C_GetSessionInfo(session);
  return state === CKS.RO_USER_FUNCTIONS || state === CKS.RW_USER_FUNCTIONS;
}

/** The PIN that a source holds; a line break at the end of a file is not part of it. */
export async function readPin(source: PinSource | undefined): Promise<string | undefined> {
  if (source === undefined) return undefined;
  if (source.kind === 'value') return source.value;
  try {
    return (await readFile(source.path, 'utf8')).replace(/\r?\n$/, '');
  } catch (error) {
    const code = error instanceof Error && 'code' in error ? String(error.code) : 'unknown error';
    const message = `the file with the PIN cannot be read: ${source.path}: ${code}`;
    throw new ServiceError('Unavailable', message, { cause: error });
  }
}

function refusedByFlags(flags: number): string | undefined {
  if ((flags & CKF.USER_PIN_LOCKED) !== 0) return 'CKR_PIN_LOCKED';
  if ((flags & CKF.USER_PIN_FINAL_TRY) !== 0) return 'CKF_USER_PIN_FINAL_TRY';
  if ((flags & CKF.USER_PIN_INITIALIZED) === 0) return 'CKR_USER_PIN_NOT_INITIALIZED';
  return undefined;
}

function loginRefused(name: string): ServiceError {
  return new ServiceError('Unavailable', `the token refuses the login: ${name}`);
}
