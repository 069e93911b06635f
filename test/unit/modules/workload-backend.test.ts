import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { isServiceError } from '../../../src/errors.ts';
import type { Clients } from '../../../src/modules/clients.ts';
import type { CertificateReference } from '../../../src/modules/config.ts';
import { Identities } from '../../../src/modules/identities.ts';
import { workloadBackend } from '../../../src/modules/workload-backend.ts';
import { callWithoutHold } from '../../support/workload/no-hold.ts';

const test = suite<{ directory: string }>('workload backend');
const block = '-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n';
const log = { error: () => {}, warn: () => {}, info: () => {}, debug: () => {} };

test.before(async (context) => {
  context.directory = await mkdtemp(join(tmpdir(), 'iotedge-bundle-'));
});

test.after(async ({ directory }) => {
  await rm(directory, { recursive: true, force: true });
});

/** The trust bundle, or the code of the error, where the Certificates service has this one. */
async function bundleOf(trustedCas: readonly CertificateReference[], pem: string): Promise<string> {
  const now = () => new Date();
  const certificates = { GetTrustBundle: () => Promise.resolve({ pem }) };
  const clients = { certificates } as unknown as Clients; // all that is asked
  const backend = workloadBackend({
    config: {
      deviceCa: undefined,
      trustedCas,
      agent: undefined,
      hostname: 'device',
      serverNames: new Map(),
    },
    clients,
    identities: new Identities(clients.identity, now),
    modules: () => [],
    sources: () => [],
    containerId: () => undefined,
    now,
    log,
  });
  try {
    return await backend.trustBundle(callWithoutHold());
  } catch (error) {
    return isServiceError(error) ? error.code : String(error);
  }
}

test('answers the trust bundle of the Certificates service, and NotFound when it has none', async () => {
  assert.is(await bundleOf([], block), block);
  assert.is(await bundleOf([], ''), 'NotFound');
});

test('answers the certificates in a file, and nothing but them', async ({ directory }) => {
  const path = join(directory, 'good.pem');
  await writeFile(path, `a comment\n${block}`);
  assert.is(await bundleOf([{ kind: 'file', path }], ''), block);
});

test('says Unavailable for a file without a certificate, also beside one that has some', async ({
  directory,
}) => {
  const good = join(directory, 'good.pem');
  await writeFile(good, block);
  for (const content of ['', 'a comment\n', block.replace('END', 'ENDE')]) {
    const path = join(directory, 'bad.pem');
    await writeFile(path, content);
    assert.is(await bundleOf([{ kind: 'file', path }], block), 'Unavailable');
    const both = [good, path].map((one) => ({ kind: 'file', path: one }) as const);
    assert.is(await bundleOf(both, block), 'Unavailable');
  }
});

test.run();
