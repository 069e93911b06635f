/** No property of any service ever differs from its announced value: a session of changes, observed only by signals. */
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import type { Bus } from '../../../src/dbus/bus.ts';
import { client } from '../../../src/dbus/client/client.ts';
import {
  certificatesInterface,
  certificatesService,
} from '../../../src/interfaces/certificates.ts';
import { identityInterface, identityService } from '../../../src/interfaces/identity.ts';
import { keysInterface, keysService } from '../../../src/interfaces/keys.ts';
import { modulesInterface, modulesService } from '../../../src/interfaces/modules.ts';
import { CachingClient } from '../../support/clients/caching-client.ts';
import { until } from '../../support/deadline.ts';
import { ModulesRig } from '../../support/engine/modules-rig.ts';

const test = suite<{ device: ModulesRig; bus: Bus }>('announced properties');
const patient = { timeoutMs: 120_000 };
const config = {
  image: ModulesRig.image,
  createOptions: { Cmd: ['sleep', '1000'], StopSignal: 'SIGKILL' },
};

test.before(async (context) => {
  context.device = await ModulesRig.start({ agent: { config } });
  context.bus = await context.device.rig.connect();
  await context.device.agentRuns();
});
test.after(async ({ device, bus }) => {
  await bus.close();
  await device[Symbol.asyncDispose]();
});

/** A session of changes; after each one the caches of all clients must equal the properties. */
class Session {
  readonly #caches: readonly CachingClient[];

  constructor(caches: readonly CachingClient[]) {
    this.#caches = caches;
  }

  async step(what: string, change: () => Promise<unknown>): Promise<void> {
    await change();
    let errors: readonly string[] = [];
    // changes continue during the read; an unannounced one stays wrong
    const settled = async (): Promise<boolean> => {
      errors = (await Promise.all(this.#caches.map((cache) => cache.errors()))).flat();
      return errors.length === 0;
    };
    await until(20_000, `the caches after ${what}`, settled).catch(() => undefined);
    assert.equal(errors, [], what);
  }

  /** The number of signals received. */
  get heard(): number {
    return this.#caches.reduce((sum, { signals }) => sum + signals.length, 0);
  }
}

test('of keys and certificates equal the values that are read', async ({
  device: { rig },
  bus,
}) => {
  const keys = client(bus, keysService, keysInterface);
  const certificates = client(bus, certificatesService, certificatesInterface);
  await certificates.Describe({});
  const session = new Session([
    await CachingClient.start(bus, keysService),
    await CachingClient.start(bus, certificatesService),
  ]);
  const pair = { algorithms: ['ec-p256'], usages: ['sign'] };
  const store = 'file';
  await session.step('CreateKeyPair', () =>
    keys.CreateKeyPair({ key_id: 'a', ...pair, options: { store } }),
  );
  await session.step('CreateKey', () =>
    keys.CreateKey({ key_id: 'b', algorithm: 'aes-256', usages: [], options: { store } }),
  );
  const material = { format: 'raw', material: Buffer.alloc(32, 1), usages: ['sign'] };
  await session.step('ImportKey over a key of another kind', () =>
    keys.ImportKey({
      key_id: 'a',
      ...material,
      algorithm: 'hmac-sha256',
      options: { if_exists: 'replace' },
    }),
  );
  await session.step('DeleteKey', () => keys.DeleteKey({ key_id: 'a' }));
  const data = Buffer.from(await rig.authority.certificate());
  const site = { certificate_id: 'site', data, format: 'pem' };
  await session.step('ImportCertificate', () => certificates.ImportCertificate(site));
  const { certificate } = await certificates.GetCertificate({ certificate_id: 'device-ca' });
  await session.step('ImportCertificate over another one', () =>
    certificates.ImportCertificate({
      ...site,
      data: Buffer.from(certificate.chain_pem),
      options: { if_exists: 'replace' },
    }),
  );
  await session.step('DeleteCertificate', () =>
    certificates.DeleteCertificate({ certificate_id: 'site' }),
  );
  const trusted = join(rig.directory, 'secrets/trusted-ca.cer');
  await session.step('a damaged file', async () => {
    await writeFile(trusted, 'damaged');
    await certificates.GetTrustBundle({}).catch(() => undefined);
  });
  await session.step('a mended file', async () => {
    await writeFile(trusted, data);
    await certificates.GetTrustBundle({});
  });
  assert.ok(session.heard >= 8);
});

test('of identities and modules equal the values that are read', async ({ device, bus }) => {
  const identity = client(bus, identityService, identityInterface);
  const modules = client(bus, modulesService, modulesInterface);
  const session = new Session([
    await CachingClient.start(bus, identityService),
    await CachingClient.start(bus, modulesService),
  ]);
  await session.step('Reprovision', () => identity.Reprovision({}, patient));
  await session.step('CreateModuleIdentity', () =>
    identity.CreateModuleIdentity({ module_id: 'leaf' }, patient),
  );
  await session.step('DeleteModuleIdentity', () =>
    identity.DeleteModuleIdentity({ module_id: 'leaf' }, patient),
  );
  const sensor = { name: 'sensor' };
  const creation = { ...sensor, type: 'docker', config_json: JSON.stringify(config), env: {} };
  await session.step('CreateModule', () => modules.CreateModule(creation, patient));
  await session.step('Start', () => modules.Start(sensor, patient));
  await session.step('Restart', () => modules.Restart(sensor, patient));
  await session.step('a crash', () => device.machine.docker('kill', 'sensor'));
  await session.step('Stop', () => modules.Stop(sensor, patient));
  await session.step('DeleteModule', () => modules.DeleteModule(sensor, patient));
  await session.step('the end of the engine', () => device.machine.stopDaemon());
  await session.step('another engine', async () => {
    await device.machine.startDaemon();
    await device.untilState('edgeAgent', 'running');
  });
  assert.ok(session.heard >= 20);
});

test.run();
