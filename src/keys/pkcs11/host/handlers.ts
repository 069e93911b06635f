import { CKF, CKS, CKU_USER } from '../protocol/constants.ts';
import type { TokenSlot } from '../protocol/operations.ts';
import { type OperationName, operations, protocolVersion } from '../protocol/operations.ts';
import type { Handle } from '../protocol/values.ts';
import type { Calls } from './calls.ts';
import { type Served, serve } from './dispatch.ts';
import { ckrName } from './failures.ts';
import type { Pkcs11Library } from './library.ts';
import type { Pools } from './pools.ts';
import { Search } from './search.ts';
import type { Session } from './session.ts';

/** What the process does for each operation. */
export function handlersOf(library: Pkcs11Library, pools: Pools) {
  const inPool = <R>(pool: number, work: (session: Session) => R | Promise<R>) =>
    library.run(() => pools.get(pool).use(work));
  const search = (session: Session) => new Search(library.calls, session.handle);
  return {
    load: serve(operations.load, async ({ version, path }) => {
      if (version !== protocolVersion) {
        throw new Error('IoT Edge was updated: restart the Keys service');
      }
      await library.load(path);
    }),
    restart: serve(operations.restart, async () => {
      pools.closeAll();
      await library.restart();
    }),
    tokens: serve(operations.tokens, () => library.run(() => tokensOf(library.calls))),
    tokenInfo: serve(operations.tokenInfo, ({ slot }) =>
      library.run(() => library.calls.C_GetTokenInfo(slot)),
    ),
    open: serve(operations.open, ({ slot, isWritable, limit }) =>
      library.run(() => {
        const flags = CKF.SERIAL_SESSION | (isWritable ? CKF.RW_SESSION : 0);
        return pools.open(library.calls, { slot: Buffer.from(slot), flags, limit });
      }),
    ),
    login: serve(operations.login, ({ pool, pin }) =>
      inPool(pool, ({ handle }) => logIn(library.calls, handle, pin)),
    ),
    close: serve(operations.close, ({ pool }) => pools.close(pool)),
    isUser: serve(operations.isUser, ({ pool }) =>
      inPool(pool, ({ handle }) => isUser(library.calls, handle)),
    ),
    find: serve(operations.find, ({ pool, queries }) =>
      inPool(pool, async (session) => {
        const running = search(session);
        const found = [];
        for (const query of queries) found.push(await running.find(query));
        return found;
      }),
    ),
    read: serve(operations.read, ({ pool, objects, attribute }) =>
      inPool(pool, (session) => search(session).read(objects, attribute)),
    ),
    sign: serve(operations.sign, ({ pool, ...operation }) =>
      inPool(pool, (session) => session.sign(operation, pools.get(pool).policy(operation.key))),
    ),
    encrypt: serve(operations.encrypt, ({ pool, ...operation }) =>
      inPool(pool, (session) => session.encrypt(operation)),
    ),
    decrypt: serve(operations.decrypt, ({ pool, ...operation }) =>
      inPool(pool, (session) => session.decrypt(operation)),
    ),
    generatePair: serve(operations.generatePair, ({ pool, ...template }) =>
      inPool(pool, (session) => session.generatePair(template)),
    ),
    generateKey: serve(operations.generateKey, ({ pool, ...template }) =>
      inPool(pool, (session) => session.generateKey(template)),
    ),
    create: serve(operations.create, ({ pool, template }) =>
      inPool(pool, ({ handle }) => library.calls.C_CreateObject(handle, template)),
    ),
    destroy: serve(operations.destroy, ({ pool, objects }) =>
      inPool(pool, ({ handle }) => {
        for (const object of objects) library.calls.C_DestroyObject(handle, object);
      }),
    ),
  } satisfies Record<OperationName, Served>;
}

function tokensOf(calls: Calls): readonly TokenSlot[] {
  return calls.C_GetSlotList().flatMap((slot) => {
    try {
      return [{ slot, info: calls.C_GetTokenInfo(slot) }];
    } catch {
      // being removed, or unreadable for this library
      return [];
    }
  });
}

function logIn(calls: Calls, session: Handle, pin: Buffer): void {
  if (isUser(calls, session)) return;
  try {
    calls.C_Login(session, CKU_USER, pin);
  } catch (error) {
    if (ckrName(error) !== 'CKR_USER_ALREADY_LOGGED_IN') throw error;
  }
}

/** Whether private objects are visible in a session. */
function isUser(calls: Calls, session: Handle): boolean {
  const { state } = calls.C_GetSessionInfo(session);
  return state === CKS.RO_USER_FUNCTIONS || state === CKS.RW_USER_FUNCTIONS;
}
