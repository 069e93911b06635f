/** The CA of the device and the root that modules trust are replaced while modules run. */
import { X509Certificate } from 'node:crypto';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { ModulesRig } from '../../../support/engine/modules-rig.ts';
import { ThrowAwayAuthority } from '../../../support/polkit/throw-away-authority.ts';
import { requestOn, version } from '../../../support/workload/api.ts';

const test = suite<{ device: ModulesRig }>('a renewed CA');
const createOptions = { Cmd: ['sleep', '1000'], StopSignal: 'SIGKILL' };
const agent = { config: { image: ModulesRig.image, createOptions } };

test.before(async (context) => {
  context.device = await ModulesRig.start({ agent });
  await context.device.agentRuns();
});

test.after(async ({ device }) => {
  await device[Symbol.asyncDispose]();
});

function ask(device: ModulesRig, method: string, path: string) {
  const socket = join(device.rig.stateDirectory('modules'), 'mnt/edgeAgent/workload.sock');
  return requestOn(socket, method, `${path}?${version}`);
}

async function certificatesAt(device: ModulesRig, method: string, path: string) {
  const { status, json } = await ask(device, method, path);
  assert.ok(status < 300, `${path}: ${status}`);
  const pem = String(json['certificate']);
  const blocks = pem.match(/-----BEGIN CERTIFICATE-----[^-]*-----END CERTIFICATE-----/g) ?? [];
  return blocks.map((block) => new X509Certificate(block));
}

const issue = ['POST', '/modules/%24edgeAgent/certificate/identity'] as const;
const bundle = ['GET', '/trust-bundle'] as const;

function isTrusted(chain: readonly X509Certificate[], roots: readonly X509Certificate[]): boolean {
  const last = chain.at(-1);
  return roots.some(
    (root) =>
      last?.fingerprint256 === root.fingerprint256 ||
      (last !== undefined && last.verify(root.publicKey)),
  );
}

test('is served by the next request, beside the one before it, and nothing restarts', async ({
  device,
}) => {
  const before = await certificatesAt(device, ...issue);
  const [former] = await certificatesAt(device, ...bundle);
  const { StartedAt } = await device.module('edgeAgent');
  const { rig } = device;
  const other = await ThrowAwayAuthority.create(join(rig.directory, 'other-authority'));
  const ca = await other.certify('renewed', await rig.token.publicKey('device ca'), 'device-ca');
  await writeFile(join(rig.directory, 'secrets/device-ca.cer'), ca);
  await writeFile(join(rig.directory, 'secrets/trusted-ca.cer'), await other.certificate());

  const after = await certificatesAt(device, ...issue);
  const roots = await certificatesAt(device, ...bundle);
  const current = new X509Certificate(await other.certificate());
  assert.equal(
    roots.map(({ fingerprint256 }) => fingerprint256),
    [current.fingerprint256, former?.fingerprint256],
  );
  assert.ok(isTrusted(before, roots));
  assert.ok(isTrusted(after, [current]));
  assert.not.ok(isTrusted(before, [current]));
  assert.is((await device.module('edgeAgent'))['StartedAt'], StartedAt);

  await rig.stop('modules');
  await device.agentRuns();
  assert.is((await certificatesAt(device, ...bundle)).length, 2);
  assert.is((await device.module('edgeAgent'))['StartedAt'], StartedAt);
});

test.run();
