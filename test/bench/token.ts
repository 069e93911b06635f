// Prints the rate and the cost of signatures by a token through pkcs11js and the session pool of the Keys service, as JSON.
// usage: node token.js LIBRARY PIN LABEL COUNT IN_FLIGHT
import { CKA, CKF, CKM, CKO, CKU_USER } from '../../src/keys/pkcs11/library/constants.ts';
import { InlinePolicy } from '../../src/keys/pkcs11/library/inline-policy.ts';
import { Pkcs11Library } from '../../src/keys/pkcs11/library/library.ts';
import type { SignOperation } from '../../src/keys/pkcs11/library/session.ts';
import { SessionPool } from '../../src/keys/pkcs11/library/session-pool.ts';

const never = new AbortController().signal;
const digest = Buffer.alloc(32, 1);

function findKey(pool: SessionPool, label: string): SignOperation {
  const session = pool.take();
  const template = [
    { type: CKA.CLASS, value: CKO.PRIVATE_KEY },
    { type: CKA.LABEL, value: label },
  ];
  const key = session?.find(template)[0];
  if (session === undefined || key === undefined) throw new Error(`no key ${label}`);
  pool.release(session);
  return { mechanism: { mechanism: CKM.ECDSA }, key, inline: new InlinePolicy() };
}

async function sign(pool: SessionPool, operation: SignOperation, count: number): Promise<void> {
  for (let made = 0; made < count; made++) {
    const session = pool.take() ?? (await pool.wait(never));
    await session.sign(operation, digest);
    pool.release(session);
  }
}

async function main([path = '', pin = '', label = '', count, inFlight]: readonly string[]) {
  await using library = new Pkcs11Library(path);
  await library.ready();
  const slot = library.api.C_GetSlotList(true)[0];
  if (slot === undefined) throw new Error('no token');
  const pool = new SessionPool(library.api, { slot, flags: CKF.SERIAL_SESSION, limit: 4 });
  const session = pool.take();
  if (session === undefined) throw new Error('no session');
  library.api.C_Login(session.handle, CKU_USER, pin);
  pool.release(session);
  const operation = findKey(pool, label);
  const perWorker = Math.ceil(Number(count) / Number(inFlight));
  const all = (): Promise<unknown> =>
    Promise.all(Array.from({ length: Number(inFlight) }, () => sign(pool, operation, perWorker)));
  await all(); // warms V8 up
  const [startedAt, cpuBefore] = [performance.now(), process.cpuUsage()];
  await all();
  const [ms, { user, system }] = [performance.now() - startedAt, process.cpuUsage(cpuBefore)];
  const made = perWorker * Number(inFlight);
  console.log(JSON.stringify({ perSecond: (made * 1000) / ms, cpu: (user + system) / made }));
  pool.close();
}

process.env['UV_THREADPOOL_SIZE'] ??= '8';
void main(process.argv.slice(2));
