import { isServiceError, ServiceError } from '../../../errors.ts';

/** The handle that a failed call shows to be lost. */
export type HandleLoss =
  /** The object handle: the key was deleted, or the login was lost. */
  | 'object'
  /** The session, or its login. */
  | 'session'
  /** Possibly the token: the caller checks whether it is still present. */
  | 'token'
  /** None, but what was read is out of date. */
  | 'reading'
  | undefined;

const handleLosses: Readonly<Record<string, HandleLoss>> = {
  CKR_OBJECT_HANDLE_INVALID: 'object',
  CKR_KEY_HANDLE_INVALID: 'object',
  CKR_SESSION_HANDLE_INVALID: 'session',
  CKR_SESSION_CLOSED: 'session',
  CKR_USER_NOT_LOGGED_IN: 'session',
  CKR_OPERATION_ACTIVE: 'session',
  CKR_OPERATION_NOT_INITIALIZED: 'session',
  CKR_CRYPTOKI_NOT_INITIALIZED: 'token',
  CKR_DEVICE_ERROR: 'token',
  CKR_DEVICE_REMOVED: 'token',
  CKR_GENERAL_ERROR: 'token',
  CKR_SLOT_ID_INVALID: 'token',
  CKR_TOKEN_NOT_PRESENT: 'token',
  CKR_TOKEN_NOT_RECOGNIZED: 'token',
};

const notSupportedNames = new Set([
  'CKR_ATTRIBUTE_TYPE_INVALID',
  'CKR_ATTRIBUTE_VALUE_INVALID',
  'CKR_CURVE_NOT_SUPPORTED',
  'CKR_DOMAIN_PARAMS_INVALID',
  'CKR_FUNCTION_NOT_SUPPORTED',
  'CKR_KEY_FUNCTION_NOT_PERMITTED',
  'CKR_KEY_SIZE_RANGE',
  'CKR_KEY_TYPE_INCONSISTENT',
  'CKR_MECHANISM_INVALID',
  'CKR_MECHANISM_PARAM_INVALID',
  'CKR_TEMPLATE_INCOMPLETE',
  'CKR_TEMPLATE_INCONSISTENT',
  'CKR_TOKEN_WRITE_PROTECTED',
]);

/** Codes that tokens return for a ciphertext of another key; PKCS#11 names no single one. */
const notDecryptedNames = new Set([
  'CKR_AEAD_DECRYPT_FAILED',
  'CKR_DATA_INVALID',
  'CKR_DATA_LEN_RANGE',
  'CKR_ENCRYPTED_DATA_INVALID',
  'CKR_ENCRYPTED_DATA_LEN_RANGE',
  'CKR_FUNCTION_FAILED',
  'CKR_GENERAL_ERROR',
  'CKR_SIGNATURE_INVALID',
]);

/** A function of PKCS#11 did not return CKR_OK. */
export class Pkcs11Error extends Error {
  override readonly name = 'Pkcs11Error';
  readonly ckr: string;
  /** The function that returned it. */
  readonly call: string;

  constructor(ckr: string, call: string) {
    super(ckr);
    this.ckr = ckr;
    this.call = call;
  }
}

/** The CKR name of an error, undefined for any other error. */
export function ckrName(error: unknown): string | undefined {
  return error instanceof Pkcs11Error ? error.ckr : undefined;
}

export function lossOf(error: unknown): HandleLoss {
  if (error instanceof LostError) return error.loss;
  const name = ckrName(error);
  return name === undefined ? undefined : handleLosses[name];
}

/** Whether the token does not support the operation with keys of this kind. */
export function isNotSupported(error: unknown): boolean {
  const name = ckrName(error);
  return name !== undefined && notSupportedNames.has(name);
}

/** Whether the error may be due to a ciphertext of another key. */
export function isNotDecrypted(error: unknown): boolean {
  const name = ckrName(error);
  return name !== undefined && notDecryptedNames.has(name);
}

/** A loss that no CKR reports: the result is untrustworthy because the session or the token has changed. */
export class LostError extends Error {
  override readonly name = 'LostError';
  readonly loss: 'session' | 'token' | 'reading';

  constructor(loss: 'session' | 'token' | 'reading') {
    super(`${loss} lost`);
    this.loss = loss;
  }
}

/** The failure of a caller that no longer waits. */
export function cancelled(): ServiceError {
  return new ServiceError('Cancelled', 'the caller no longer waits');
}

/** Whether a reading has ended without a result: what it read went out of date, or its caller left. */
export function isInterrupted(error: unknown): boolean {
  if (isServiceError(error, 'Cancelled')) return true;
  const { cause } = error instanceof Error ? error : {};
  return cause instanceof LostError && cause.loss === 'reading';
}

/** Translates a PKCS#11 error for the caller, with its CKR name; returns any other error unchanged. */
export function toServiceError(error: unknown, context: string): unknown {
  if (error instanceof LostError) {
    return new ServiceError('Unavailable', `${context}: ${error.message}`, { cause: error });
  }
  const name = ckrName(error);
  if (name === undefined) return error;
  const code = notSupportedNames.has(name) ? 'NotSupported' : 'Unavailable';
  return new ServiceError(code, `${context}: ${name}`, { cause: error });
}
