/** A handshake whose signature is late or does not come. */
import { setTimeout as delay } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import type { Bus } from '../../../src/dbus/bus.ts';
import { ServiceError } from '../../../src/errors.ts';
import { HttpsClient } from '../../../src/service/https.ts';
import { HttpsFailure } from '../../../src/service/https-message.ts';
import { MutualTlsServer } from '../../support/mutual-tls-server.ts';
import { Pki } from '../../support/pki.ts';
import { PrivateBus } from '../../support/private-bus.ts';
import { TestKeys } from '../../support/test-keys.ts';

interface Rig {
  readonly bus: PrivateBus;
  readonly keys: TestKeys;
  /** What the keys are served on. */
  readonly connection: Bus;
  /** A new handshake: the status, or the failure. */
  readonly connect: () => Promise<number | HttpsFailure>;
}

const test = suite('TLS without the Keys service');
const workerFile = fileURLToPath(new URL('../../support/tls-thread.js', import.meta.url));

async function withRig(body: (rig: Rig) => Promise<void>): Promise<void> {
  await using bus = await PrivateBus.start();
  process.env['DBUS_SYSTEM_BUS_ADDRESS'] = bus.address; // where the provider looks
  const connection = await bus.connect();
  await using keys = await TestKeys.start(connection);
  await using pki = await Pki.create();
  const { spki } = await keys.create('a', 'ec-p256');
  const clientCertificate = { chainPem: await pki.certify('a', spki), keyId: 'a', spki };
  await using client = HttpsClient.start({ workerFile });
  const connect = async (): Promise<number | HttpsFailure> => {
    await using server = await MutualTlsServer.start(pki); // another one resumes nothing
    const ca = pki.root.certificate;
    const url = server.url();
    const about = { method: 'GET', url, requestId: 'test', timeoutMs: 20_000 };
    const request = { ...about, ca, clientCertificate };
    try {
      return (await client.request(request, new AbortController().signal)).status;
    } catch (error) {
      assert.instance(error, ServiceError);
      assert.instance((error as ServiceError).cause, HttpsFailure);
      return (error as ServiceError).cause as HttpsFailure;
    }
  };
  await body({ bus, keys, connection, connect });
}

/** The code of a failure that is about the key, and nobody else's. */
function codeOf(outcome: number | HttpsFailure): string {
  if (typeof outcome === 'number') return String(outcome);
  assert.is(outcome.kind, 'client-certificate', outcome.message);
  return outcome.code;
}

test('waits for a slow signature beside the main thread', () =>
  withRig(async ({ keys, connect }) => {
    keys.before = () => delay(1500);
    // this process serves the keys too: a main thread that waited for the signature would never be asked for it
    assert.is(await connect(), 200);
  }));

test('says that the service went away in the middle, and that there is none', () =>
  withRig(async ({ keys, connection, connect }) => {
    keys.before = () => connection.close();
    assert.is(codeOf(await connect()), 'org.freedesktop.DBus.Error.NoReply');
    assert.is(keys.calls.length, 1);
    assert.is(codeOf(await connect()), 'org.freedesktop.DBus.Error.ServiceUnknown');
  }));

test('says that the bus went away in the middle, and that there is none', () =>
  withRig(async ({ bus, keys, connect }) => {
    keys.before = () => bus.kill();
    assert.is(codeOf(await connect()), 'org.freedesktop.DBus.Error.Disconnected');
    assert.is(keys.calls.length, 1);
    const gone = await connect();
    assert.is(codeOf(gone), 'EPROTO');
    assert.match(String(gone), /Sign with "a": (Connection refused|No such file or directory)/);
  }));

test.run();
