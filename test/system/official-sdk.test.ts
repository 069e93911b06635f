/** Azure's own client registers with the cloud double: the double speaks the protocol of the official clients. */
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { runCommand } from '../support/command.ts';
import { sdkModule } from '../support/identity/official-sdk.ts';
import { runnable } from '../support/not-runnable.ts';
import { Pki } from '../support/tls/pki.ts';
import { PkiCloud, scopeId } from '../support/tls/pki-cloud.ts';

const suiteOfSdk = suite("Azure's provisioning client");
const test = runnable('official-sdk', suiteOfSdk);

/** The program of a device: it registers, and prints the result as JSON. */
const program = `
const [http, client, symmetric, x509, json] = process.argv.slice(1);
const { port, scopeId, registrationId, key, certificate } = JSON.parse(json);
require('node:https').globalAgent.options.port = port;
const { ProvisioningDeviceClient } = require(client);
const security = typeof key === 'string' && certificate === undefined
  ? new (require(symmetric).SymmetricKeySecurityClient)(registrationId, key)
  : new (require(x509).X509Security)(registrationId, { cert: certificate, key });
const transport = new (require(http).Http)();
const device = ProvisioningDeviceClient.create('localhost', scopeId, transport, security);
device.setProvisioningPayload({ model: 'test' });
device.register((error, result) => {
  console.log(JSON.stringify({ error: error ? \`\${error.name}: \${error.message}\` : undefined, result }));
});
`;

interface Registration {
  /** The class of the SDK's error, and its message. */
  readonly error?: string;
  readonly result?: {
    readonly assignedHub: string;
    readonly deviceId: string;
    readonly payload?: unknown;
  };
}

/** A cloud double with two enrollments, and a way to register with it. */
class Setting extends PkiCloud {
  static async start(symmetricKey: Buffer): Promise<Setting> {
    const enrollments = new Map([
      ['by-certificate', { deviceId: 'device-1' }],
      ['by-key', { deviceId: 'device-2', symmetricKey, payload: { greeting: 'hello' } }],
    ]);
    return new Setting(await PkiCloud.startParts({ enrollments }));
  }

  async register(device: { registrationId: string; key?: string; certificate?: string }) {
    const modules = ['-http', ''].map((part) => sdkModule(`azure-iot-provisioning-device${part}`));
    const security = ['symmetric-key', 'x509'].map((kind) =>
      sdkModule(`azure-iot-security-${kind}`),
    );
    const what = JSON.stringify({ port: this.cloud.port, scopeId, ...device });
    const env = { NODE_EXTRA_CA_CERTS: `${this.pki.directory}/root.cer` };
    const args = ['-e', program, ...modules, ...security, what];
    const { stdout, stderr } = await runCommand(process.execPath, args, { env });
    assert.ok(stdout.length > 0, stderr);
    return JSON.parse(stdout.toString()) as Registration;
  }

  /** A certificate of an enrolled root, or of none. */
  async certificate(name: string, pki = this.pki) {
    const { key, certificate } = await pki.issue(name);
    return { key, certificate };
  }
}

const secret = Buffer.alloc(32, 5);

test('registers by certificate, but not by one with another name or root', async () => {
  await using setting = await Setting.start(secret);
  const registrationId = 'by-certificate';
  const own = await setting.certificate(registrationId);
  const { error, result } = await setting.register({ registrationId, ...own });
  assert.is(error, undefined);
  assert.equal([result?.deviceId, result?.assignedHub], ['device-1', setting.cloud.host]);
  const other = await setting.certificate('other');
  await using stranger = await Pki.create();
  const strange = await setting.certificate(registrationId, stranger);
  for (const wrong of [other, strange]) {
    const refused = await setting.register({ registrationId, ...wrong });
    assert.match(refused.error ?? '', /^UnauthorizedError: .*401002/);
  }
});

test('registers by symmetric key, but not by another one or as another device', async () => {
  await using setting = await Setting.start(secret);
  const key = secret.toString('base64');
  const registered = await setting.register({ registrationId: 'by-key', key });
  assert.is(registered.error, undefined);
  assert.is(registered.result?.deviceId, 'device-2');
  assert.equal(registered.result?.payload, { greeting: 'hello' });
  const wrong = { registrationId: 'by-key', key: Buffer.alloc(32, 6).toString('base64') };
  for (const refused of [wrong, { registrationId: 'unknown', key }]) {
    const outcome = await setting.register(refused);
    assert.match(outcome.error ?? '', /^UnauthorizedError: .*401002/);
  }
});

suiteOfSdk.run();
