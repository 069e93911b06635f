/** Orders that an EST server has not decided on, on a device whose service is killed meanwhile. */
import { chown, mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { parseCsr } from '../../../../src/x509/csr.ts';
import { FaultyDevice } from '../../../support/certificates/faulty-device.ts';
import { until } from '../../../support/deadline.ts';
import { EstCa } from '../../../support/est/est-ca.ts';
import { type EstAnswer, EstServer, type SeenRequest } from '../../../support/est/est-server.ts';
import { failureOf } from '../../../support/failure.ts';
import { isSoak } from '../../../support/property.ts';
import { rigUsers } from '../../../support/rig/rig-users.ts';

interface Context {
  readonly device: FaultyDevice;
  readonly ca: EstCa;
  readonly server: EstServer;
}

const test = suite<{ context: Context }>('faults around a pending order');
const waitMs = 30_000;
/** More changes of a record than any operation needs. */
const most = 40;
/** A certificate that lives no longer than the one it replaces is refused. */
const [enrolledDays, renewedDays] = [30, 60];

test.before(async (suiteContext) => {
  const device = await FaultyDevice.start();
  const ca = await EstCa.create();
  const server = await EstServer.start({
    ca,
    credential: await ca.makeLeaf('server'),
    clientRoots: await ca.certificate('root'),
    basic: 'edge:password',
  });
  suiteContext.context = { device, ca, server };
  const files = join(device.rig.directory, 'est');
  await mkdir(files);
  const [root, secret] = [join(files, 'root.pem'), join(files, 'password')];
  await writeFile(root, await ca.certificate('root'));
  await writeFile(secret, 'password\n', { mode: 0o640 });
  await chown(secret, 0, rigUsers['iotedge-certificates']);
  const login = { username: 'edge', password_file: secret };
  await device.rig.configure('certificates', {
    idle_exit_s: 600,
    issuers: { hq: { method: 'est', url: server.url, trusted_ca: root, ...login } },
    certificates: { 'k/*': { method: 'est', issuer: 'hq' } },
  });
});

test.after(async ({ context: { device, ca, server } }) => {
  await device[Symbol.asyncDispose]();
  await server[Symbol.asyncDispose]();
  await ca[Symbol.asyncDispose]();
});

/** The orders of a CA, which are as many as different requests: each is decided on when it is asked for again. */
class Orders {
  /** What was issued, by request; `` as long as it is pending. */
  readonly #orders = new Map<string, string>();
  readonly #context: Context;

  constructor(context: Context) {
    this.#context = context;
  }

  get pending(): readonly string[] {
    return [...this.#orders.keys()];
  }

  get issued(): readonly string[] {
    return [...new Set(this.#orders.values())].filter((pem) => pem !== '');
  }

  async answer({ csr = Buffer.alloc(0) }: SeenRequest): Promise<EstAnswer> {
    const { ca, server } = this.#context;
    const request = csr.toString('base64');
    const known = this.#orders.get(request);
    if (known === undefined) {
      this.#orders.set(request, '');
      // all orders together take less than the day for which a former key is kept
      return { status: 202, headers: { 'retry-after': '600' } };
    }
    const pem = known || (await ca.issue(csr, { days: renewedDays }));
    this.#orders.set(request, pem);
    return server.certificates(pem);
  }
}

/** Sets the clock of the service to the next attempt, and looks whether there is a certificate after the former one. */
async function isOver(device: FaultyDevice, id: string, before: string): Promise<boolean> {
  const shown = await device.shown(id);
  const next = Number(shown.NextAttempt ?? 0) / 1000;
  if (next > 0) await device.faults.setClock(next + 1000 - Date.now());
  if (shown.State !== 'valid' || shown.Operation !== '') return false;
  return (await device.keyOf(id)) !== before;
}

/** Orders a certificate whose order is pending once, while the process is killed at a change; returns whether it was. */
async function orderKilled(
  context: Context,
  verb: 'Enroll' | 'Renew',
  at: number,
): Promise<boolean> {
  const { device, server } = context;
  const { certificates, faults } = device;
  const certificate_id = `k/${verb.toLowerCase()}-${at}`;
  server.answers.set('simpleenroll', async ({ csr = Buffer.alloc(0) }) =>
    server.certificates(await context.ca.issue(csr, { days: enrolledDays })),
  );
  if (verb === 'Renew') await certificates.Enroll({ certificate_id });
  const before = verb === 'Renew' ? await device.keyOf(certificate_id) : '';
  const orders = new Orders(context);
  const operation = verb === 'Renew' ? 'simplereenroll' : 'simpleenroll';
  server.answers.set(operation, (request) => orders.answer(request));
  const from = server.requests.length;

  const ask = () => failureOf(certificates[verb]({ certificate_id }));
  await faults.killAt(at);
  await ask();
  // an order that was not persisted is none
  if (at === 1) await ask();
  // the process that follows goes on by itself
  let failure = '';
  await until(
    waitMs,
    () => `the certificate at ${at}: ${failure}`,
    async () => {
      let isIssued = false;
      failure = await failureOf(async () => {
        isIssued = await isOver(device, certificate_id, before);
      });
      return isIssued;
    },
  );
  const isKilled = await faults.isOver();
  await faults.killAt(0);
  const after = await device.keyOf(certificate_id);
  const expected = [before, after].filter((one) => one !== '');
  assert.equal(await device.keysOf(certificate_id), expected.sort(), `the keys at ${at}`);
  const sent = server.requests.slice(from).flatMap(({ csr }) => (csr === undefined ? [] : [csr]));
  const { spki } = await device.keys.GetPublicKey({ key_id: after });
  for (const csr of sent) assert.ok(parseCsr(csr).spki.equals(spki), `another key at ${at}`);
  assert.is(orders.issued.length, 1, `certificates at ${at}`);
  // a request whose answer did not get into the record is signed anew, and only that one
  const mayRepeat = at === 5;
  assert.is(orders.pending.length, mayRepeat ? 2 : 1, `requests at ${at}`);
  assert.equal(server.problems, []);
  return isKilled;
}

for (const [verb, sampled] of [
  ['Enroll', 6],
  ['Renew', 7],
] as const) {
  test(`a process that is killed during ${verb} goes on with its pending order`, async ({
    context,
  }) => {
    if (!isSoak) {
      assert.ok(await orderKilled(context, verb, sampled), `not killed at ${sampled}`);
      return;
    }
    let at = 1;
    while (await orderKilled(context, verb, at)) assert.ok(++at < most, 'an end');
    console.log(`${verb}: killed at ${at - 1} points`);
    assert.ok(at > 10);
  });
}

test.run();
