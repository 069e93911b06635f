/**
 * What the service asks the process that owns a PKCS#11 library, over a private socket pair. The service sends
 * requests, the process replies to each in any order. Every message is a frame (see `frames.ts`):
 *
 *   request: id (u32), operation (u8), its request
 *   reply:   id (u32), outcome (u8), then the operation's reply, or the failure
 *   alive:   id 0, outcome 2: sent while calls of the library are running and nothing else can be sent
 *
 * Numbers are little-endian. `open` makes a pool of sessions with one token; all operations with a `pool` use one of
 * its sessions, and none of them before the calls of the one before have returned.
 */
import {
  bytes,
  type Field,
  flag,
  list,
  nothing,
  optional,
  struct,
  text,
  u32,
  ulong,
} from './fields.ts';
import {
  type Handle,
  handle,
  type Mechanism,
  mechanism,
  type Template,
  type TokenInfo,
  template,
  tokenInfo,
} from './values.ts';

/** Incremented by every change of a message: service and process may be of two releases during an update. */
export const protocolVersion = 1;

export interface Operation<Request, Reply> {
  readonly number: number;
  /** The function of PKCS#11 that it is about, for messages. */
  readonly call: string;
  readonly request: Field<Request>;
  readonly reply: Field<Reply>;
}

/** A token in its slot. */
export interface TokenSlot {
  readonly slot: Handle;
  readonly info: TokenInfo;
}

/** The objects to find, and which of their attributes to read. */
export interface Query {
  readonly template: Template;
  readonly attributes: readonly number[];
}

/** Attributes of an object, in the order of the request; undefined where it has none or does not reveal it. */
export type Values = readonly (Buffer | undefined)[];

export interface FoundObject {
  readonly handle: Handle;
  readonly values: Values;
}

/** An operation with a key. `pin` is for a key with CKA_ALWAYS_AUTHENTICATE. */
export interface KeyOperation {
  readonly key: Handle;
  readonly mechanism: Mechanism;
  readonly data: Buffer;
  readonly pin: Buffer | undefined;
}

/** The mechanism and attributes of a new key pair. */
export interface PairTemplate {
  readonly mechanism: Mechanism;
  readonly publicKey: Template;
  readonly privateKey: Template;
}

/** The mechanism and attributes of a new symmetric key. */
export interface SecretTemplate {
  readonly mechanism: Mechanism;
  readonly key: Template;
}

/** A request that uses a session of a pool. */
interface InPool {
  readonly pool: number;
}

const tokenSlot = struct<TokenSlot>({ slot: handle, info: tokenInfo });
const query = struct<Query>({ template, attributes: list(ulong) });
const values = list(optional(bytes));
const foundObject = struct<FoundObject>({ handle, values });
const keyUse = struct<InPool & KeyOperation>({
  pool: u32,
  key: handle,
  mechanism,
  data: bytes,
  pin: optional(bytes),
});
const inPool = struct<InPool>({ pool: u32 });

function operation<Request, Reply>(
  number: number,
  call: string,
  fields: Pick<Operation<Request, Reply>, 'request' | 'reply'>,
): Operation<Request, Reply> {
  return { number, call, ...fields };
}

export const operations = {
  /** Loads and initializes the library: the first request. */
  load: operation(1, 'C_Initialize', {
    request: struct<{ version: number; path: string }>({ version: u32, path: text }),
    reply: nothing,
  }),
  /** Finalizes and initializes the library, once no call runs. All pools are closed. */
  restart: operation(2, 'C_Initialize', { request: nothing, reply: nothing }),
  /** All slots with a token that can be read. */
  tokens: operation(3, 'C_GetSlotList', { request: nothing, reply: list(tokenSlot) }),
  tokenInfo: operation(4, 'C_GetTokenInfo', {
    request: struct<{ slot: Handle }>({ slot: handle }),
    reply: tokenInfo,
  }),
  /** Opens up to `limit` sessions with a token, the first one now. Returns the pool. */
  open: operation(5, 'C_OpenSession', {
    request: struct<{ slot: Handle; isWritable: boolean; limit: number }>({
      slot: handle,
      isWritable: flag,
      limit: u32,
    }),
    reply: u32,
  }),
  /** Logs in as the user, unless a session of the process is logged in. */
  login: operation(6, 'C_Login', {
    request: struct<{ pool: number; pin: Buffer }>({ pool: u32, pin: bytes }),
    reply: nothing,
  }),
  /** Closes the sessions of a pool, each when its call has returned. */
  close: operation(7, 'C_CloseSession', { request: inPool, reply: nothing }),
  /** Whether private objects are visible. */
  isUser: operation(8, 'C_GetSessionInfo', { request: inPool, reply: flag }),
  /** The objects that each query finds. */
  find: operation(9, 'C_FindObjects', {
    request: struct<{ pool: number; queries: readonly Query[] }>({
      pool: u32,
      queries: list(query),
    }),
    reply: list(list(foundObject)),
  }),
  /** An attribute of each object. */
  read: operation(10, 'C_GetAttributeValue', {
    request: struct<{ pool: number; objects: readonly Handle[]; attribute: number }>({
      pool: u32,
      objects: list(handle),
      attribute: ulong,
    }),
    reply: values,
  }),
  sign: operation(11, 'C_Sign', { request: keyUse, reply: bytes }),
  encrypt: operation(12, 'C_Encrypt', { request: keyUse, reply: bytes }),
  decrypt: operation(13, 'C_Decrypt', { request: keyUse, reply: bytes }),
  generatePair: operation(14, 'C_GenerateKeyPair', {
    request: struct<InPool & PairTemplate>({
      pool: u32,
      mechanism,
      publicKey: template,
      privateKey: template,
    }),
    reply: nothing,
  }),
  generateKey: operation(15, 'C_GenerateKey', {
    request: struct<InPool & SecretTemplate>({
      pool: u32,
      mechanism,
      key: template,
    }),
    reply: nothing,
  }),
  create: operation(16, 'C_CreateObject', {
    request: struct<{ pool: number; template: Template }>({ pool: u32, template }),
    reply: nothing,
  }),
  destroy: operation(17, 'C_DestroyObject', {
    request: struct<{ pool: number; objects: readonly Handle[] }>({
      pool: u32,
      objects: list(handle),
    }),
    reply: nothing,
  }),
};

export type OperationName = keyof typeof operations;
