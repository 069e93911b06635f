/** A handshake whose signature is late or missing. */
import { readFile, writeFile } from 'node:fs/promises';
import { setTimeout as delay } from 'node:timers/promises';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { ServiceError } from '../../../src/errors.ts';
import { HttpsClient } from '../../../src/https/https-client.ts';
import { HttpsFailure } from '../../../src/https/https-failure.ts';
import type { ClientCertificate } from '../../../src/https/https-request.ts';
import { until } from '../../support/deadline.ts';
import { ServedKeys } from '../../support/keys/served-keys.ts';
import { MutualTlsServer } from '../../support/tls/mutual-tls-server.ts';
import { Pki } from '../../support/tls/pki.ts';

interface Rig {
  readonly keys: ServedKeys;
  /** A new handshake: the status, or the failure. */
  readonly connect: () => Promise<number | HttpsFailure>;
}

interface Parts {
  readonly keys: ServedKeys;
  readonly pki: Pki;
  readonly client: HttpsClient;
  readonly certificate: ClientCertificate;
}

const test = suite<{ -readonly [Part in keyof Parts]?: Parts[Part] }>(
  'TLS without the Keys service',
);

test.before(async (context) => {
  const keys = (context.keys = await ServedKeys.start());
  process.env['DBUS_SYSTEM_BUS_ADDRESS'] = keys.address; // where the provider connects
  const pki = (context.pki = await Pki.create());
  const { spki } = await keys.create('a', 'ec-p256');
  const chainPem = await pki.certify('a', spki);
  context.certificate = { chainPem, keyId: 'a', spki };
  context.client = new HttpsClient();
});

test.after(async ({ client, pki, keys }) => {
  for (const part of [client, pki, keys]) await part?.[Symbol.asyncDispose]();
});

test.before.each(({ keys }) => keys?.calls.clear());

function of({ keys, pki, client, certificate }: Partial<Parts>): Rig {
  if (!keys || !pki || !client || !certificate) throw new Error('the rig was not set up');
  return { keys, connect: () => connectTo({ pki, client, certificate }) };
}

async function connectTo(parts: Omit<Parts, 'keys'>): Promise<number | HttpsFailure> {
  const { pki, client, certificate: clientCertificate } = parts;
  await using server = await MutualTlsServer.start(pki); // a new server resumes no session
  const ca = pki.root.certificate;
  const about = { method: 'GET', url: server.url(), requestId: 'test', timeoutMs: 20_000 };
  const request = { ...about, ca, clientCertificate };
  try {
    return (await client.request(request, new AbortController().signal)).status;
  } catch (error) {
    assert.instance(error, ServiceError);
    assert.instance((error as ServiceError).cause, HttpsFailure);
    return (error as ServiceError).cause as HttpsFailure;
  }
}

/** The code of a failure that names the key, and only the key. */
function codeOf(outcome: number | HttpsFailure): string {
  if (typeof outcome === 'number') return String(outcome);
  assert.is(outcome.kind, 'client-certificate', outcome.message);
  return outcome.code;
}

/** Waits until the service receives a call of Sign. */
function untilSign({ calls }: ServedKeys): Promise<void> {
  return until(10_000, 'the signature', async () => (await calls.all()).length > 0);
}

test('waits for a slow signature without blocking the main thread', async (context) => {
  const { keys, connect } = of(context);
  const pause = await keys.pause();
  const connected = connect();
  await untilSign(keys); // a main thread that waited for the signature would not get here
  await delay(1500);
  pause[Symbol.dispose]();
  assert.is(await connected, 200);
});

test('reports that the service was lost during the handshake, and that it cannot be started', async (context) => {
  const { keys, connect } = of(context);
  using _ = await keys.pause();
  const connected = connect();
  await untilSign(keys);
  const launcher = keys.rig.launcher('keys');
  const text = await readFile(launcher, 'utf8');
  await writeFile(launcher, 'exit 1\n');
  const pid = await keys.rig.processOf('keys');
  process.kill(pid ?? 0, 'SIGKILL');
  assert.is(codeOf(await connected), 'org.freedesktop.DBus.Error.NoReply');
  assert.is((await keys.calls.all()).length, 1);
  assert.match(codeOf(await connect()), /^org\.freedesktop\.(DBus\.Error\.Spawn\.|systemd1\.)/);
  await writeFile(launcher, text);
});

test('reports that the bus was lost during the handshake, and that there is none', async (context) => {
  const { keys, connect } = of(context);
  using _ = await keys.pause();
  const connected = connect();
  await untilSign(keys);
  await keys.rig.stopBus();
  assert.is(codeOf(await connected), 'org.freedesktop.DBus.Error.Disconnected');
  const gone = await connect();
  assert.is(codeOf(gone), 'EPROTO');
  assert.match(String(gone), /Sign with "a": (Connection refused|No such file or directory)/);
});

test.run();
