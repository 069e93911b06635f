/**
 * The functions of a library, through pkcs11js. They return what the library returned as far as JavaScript can check
 * it: a length that pkcs11js itself trusts, such as that of an attribute, can still end the process.
 */
import type { PKCS11 } from 'pkcs11js';
import { CKF } from '../protocol/constants.ts';
import type { Handle, Mechanism, Template, TokenInfo } from '../protocol/values.ts';
import { CkrError } from './failures.ts';

/** A certificate has some KiB. */
const longestAttribute = 1 << 20;

/** The functions that fill a buffer, which must be longer than every result. */
export type Transform<R> = (session: Handle, input: Buffer, output: Buffer) => R;

/** The functions that are used. A failure is a CkrError that names the function, unless it is one of pkcs11js. */
export type Calls = ReturnType<typeof callsOf>;

/** Wraps the functions of a library; `returned` is called after each one that blocks the process. */
export function callsOf(api: PKCS11, returned: () => void) {
  const named =
    <A extends unknown[], R>(call: string, invoke: (...args: A) => R) =>
    (...args: A): R => {
      try {
        return invoke(...args);
      } catch (error) {
        throw toCkrError(call, error);
      } finally {
        returned();
      }
    };
  return {
    C_Initialize: named('C_Initialize', () => api.C_Initialize({ flags: CKF.OS_LOCKING_OK })),
    C_Finalize: named('C_Finalize', () => api.C_Finalize()),
    C_GetSlotList: named('C_GetSlotList', (): Handle[] => api.C_GetSlotList(true)),
    C_GetTokenInfo: named('C_GetTokenInfo', (slot: Handle): TokenInfo => api.C_GetTokenInfo(slot)),
    C_OpenSession: named(
      'C_OpenSession',
      (slot: Handle, flags: number): Handle => api.C_OpenSession(slot, flags),
    ),
    C_CloseSession: named('C_CloseSession', (session: Handle) => api.C_CloseSession(session)),
    C_GetSessionInfo: named('C_GetSessionInfo', (session: Handle) => api.C_GetSessionInfo(session)),
    // pkcs11js takes a PIN only as a string, which cannot be wiped: it stays on the heap until it is collected
    C_Login: named('C_Login', (session: Handle, userType: number, pin: Buffer) =>
      api.C_Login(session, userType, pin.toString('utf8')),
    ),
    C_FindObjectsInit: named('C_FindObjectsInit', (session: Handle, template: Template) =>
      api.C_FindObjectsInit(session, [...template]),
    ),
    C_FindObjects: named('C_FindObjects', (session: Handle, most: number): readonly Handle[] => {
      const found = api.C_FindObjects(session, most);
      if (found.length > most) throw new RangeError('C_FindObjects returned too many objects');
      return found;
    }),
    C_FindObjectsFinal: named('C_FindObjectsFinal', (session: Handle) =>
      api.C_FindObjectsFinal(session),
    ),
    /** Undefined for an attribute without a value, or with one of more than 1 MiB. */
    C_GetAttributeValue: named(
      'C_GetAttributeValue',
      (session: Handle, object: Handle, types: readonly number[]) =>
        api
          .C_GetAttributeValue(
            session,
            object,
            types.map((type) => ({ type })),
          )
          .map(({ value }) => knownValue(value)),
    ),
    C_CreateObject: named('C_CreateObject', (session: Handle, template: Template) => {
      api.C_CreateObject(session, [...template]);
    }),
    C_DestroyObject: named('C_DestroyObject', (session: Handle, object: Handle) =>
      api.C_DestroyObject(session, object),
    ),
    C_SignInit: named('C_SignInit', (session: Handle, mechanism: Mechanism, key: Handle) =>
      api.C_SignInit(session, parametersOf(mechanism), key),
    ),
    C_EncryptInit: named('C_EncryptInit', (session: Handle, mechanism: Mechanism, key: Handle) =>
      api.C_EncryptInit(session, parametersOf(mechanism), key),
    ),
    C_DecryptInit: named('C_DecryptInit', (session: Handle, mechanism: Mechanism, key: Handle) =>
      api.C_DecryptInit(session, parametersOf(mechanism), key),
    ),
    C_Sign: named('C_Sign', (session: Handle, input: Buffer, output: Buffer) =>
      checked('C_Sign', api.C_Sign(session, input, output), output),
    ),
    ...onThreads(api),
  };
}

/** The functions that run on a thread. */
function onThreads(api: PKCS11) {
  const named = async <R>(call: string, running: Promise<R>): Promise<R> => {
    try {
      return await running;
    } catch (error) {
      throw toCkrError(call, error);
    }
  };
  const transform =
    (call: string, invoke: Transform<Promise<Buffer>>): Transform<Promise<Buffer>> =>
    async (session, input, output) =>
      checked(call, await named(call, invoke(session, input, output)), output);
  return {
    C_SignAsync: transform('C_Sign', (...args) => api.C_SignAsync(...args)),
    C_EncryptAsync: transform('C_Encrypt', (...args) => api.C_EncryptAsync(...args)),
    C_DecryptAsync: transform('C_Decrypt', (...args) => api.C_DecryptAsync(...args)),
    C_GenerateKeyAsync: async (session: Handle, mechanism: Mechanism, key: Template) => {
      const running = api.C_GenerateKeyAsync(session, parametersOf(mechanism), [...key]);
      await named('C_GenerateKey', running);
    },
    C_GenerateKeyPairAsync: async (
      session: Handle,
      mechanism: Mechanism,
      pair: { readonly publicKey: Template; readonly privateKey: Template },
    ) => {
      const { publicKey, privateKey } = pair;
      const running = api.C_GenerateKeyPairAsync(
        session,
        parametersOf(mechanism),
        [...publicKey],
        [...privateKey],
      );
      await named('C_GenerateKeyPair', running);
    },
  };
}

/** pkcs11js: `CKR_…`, with `:NN` behind it in errors that it does not convert. */
function toCkrError(call: string, error: unknown): unknown {
  if (!(error instanceof Error)) return error;
  const name = /^(CKR_[A-Z0-9_]+)(?::\d+)?$/.exec(error.message)?.[1];
  return name === undefined ? error : new CkrError(name, call);
}

/** Refuses results whose length pkcs11js has cut off: to that of the buffer, or to 32 bits, of which none is set. */
function checked(call: string, result: Buffer, output: Buffer): Buffer {
  const least = call === 'C_Decrypt' ? 0 : 1;
  if (result.length >= least && result.length < output.length) return result;
  throw new RangeError(`${call} returned a result of an impossible length`);
}

function knownValue(value: unknown): Buffer | undefined {
  return Buffer.isBuffer(value) && value.length <= longestAttribute ? value : undefined;
}

function parametersOf({ mechanism, parameter }: Mechanism) {
  return parameter === undefined ? { mechanism } : { mechanism, parameter };
}
