import { ServiceError } from '../../../errors.ts';

/** What a failed call says about the things it was made with. */
export type HandleLoss =
  /** The handle of the object: the key was deleted, or the login was lost. */
  | 'object'
  /** The session, or the login that it had. */
  | 'session'
  /** Perhaps the token: it is looked at before anything else is done. */
  | 'token'
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

/** What a token may answer when a ciphertext was not made with its key; there is no agreement. */
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

/**
 * The CKR name of an error of pkcs11js, `undefined` for any other error. Errors of asynchronous calls may
 * arrive without a code, as `CKR_…:NN`: only there the message is read.
 */
export function ckrName(error: unknown): string | undefined {
  if (!(error instanceof Error)) return undefined;
  return /^(CKR_[A-Z0-9_]+)(?::\d+)?$/.exec(error.message)?.[1];
}

/** What an error says about session, object and token. */
export function lossOf(error: unknown): HandleLoss {
  if (error instanceof LostError) return error.loss;
  const name = ckrName(error);
  return name === undefined ? undefined : handleLosses[name];
}

/** Whether an error says that this token cannot do this with keys of this kind. */
export function isNotSupported(error: unknown): boolean {
  const name = ckrName(error);
  return name !== undefined && notSupportedNames.has(name);
}

/** Whether an error may only mean that a ciphertext was not made with this key. */
export function isNotDecrypted(error: unknown): boolean {
  const name = ckrName(error);
  return name !== undefined && notDecryptedNames.has(name);
}

/** Found out without a CKR: what was asked cannot be trusted, because session or token are not what they were. */
export class LostError extends Error {
  override readonly name = 'LostError';
  readonly loss: 'session' | 'token';

  constructor(loss: 'session' | 'token') {
    super(`${loss} lost`);
    this.loss = loss;
  }
}

/** The failure that a caller sees, naming the CKR; errors that are not of PKCS#11 stay as they are. */
export function toServiceError(error: unknown, doing: string): unknown {
  if (error instanceof LostError) {
    return new ServiceError('Unavailable', `${doing}: ${error.message}`, { cause: error });
  }
  const name = ckrName(error);
  if (name === undefined) return error;
  const code = notSupportedNames.has(name) ? 'NotSupported' : 'Unavailable';
  return new ServiceError(code, `${doing}: ${name}`, { cause: error });
}
