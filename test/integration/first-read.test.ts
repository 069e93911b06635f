/** Properties are correct at the first read after an activation, and announced when they changed while a service was stopped. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readdir, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import type { Bus } from '../../src/dbus/bus.ts';
import { client } from '../../src/dbus/client/client.ts';
import { childPath } from '../../src/dbus/path.ts';
import { certificatesInterface, certificatesService } from '../../src/interfaces/certificates.ts';
import { keysInterface, keysService } from '../../src/interfaces/keys.ts';
import { busctlProperty } from '../support/clients/busctl.ts';
import { CachingClient } from '../support/clients/caching-client.ts';
import { deadline } from '../support/deadline.ts';
import { Rig } from '../support/rig/rig.ts';
import { services } from '../support/rig/rig-services.ts';

const test = suite<{ rig: Rig; bus: Bus }>('the objects at the first read');
const { path, child } = certificatesService;
const device = childPath(path, child.segment, 'device-id');

test.before.each(async (context) => {
  context.rig = await Rig.start();
  context.bus = await context.rig.connect();
});
test.after.each(async ({ rig, bus }) => {
  await bus.close();
  await rig[Symbol.asyncDispose]();
});

const keysOn = (bus: Bus) => client(bus, keysService, keysInterface);

async function makeKey(bus: Bus, key_id: string): Promise<void> {
  await keysOn(bus).CreateKey({
    key_id,
    algorithm: 'aes-256',
    usages: ['encrypt'],
    options: { store: 'file' },
  });
}

/** A client that caches the objects of a running service. */
async function cachingOf(rig: Rig, bus: Bus, service: 'keys' | 'certificates') {
  await busctlProperty(rig, service, 'Version');
  return CachingClient.start(bus, services[service]);
}

/** Ends the service, makes a change meanwhile, and starts the service again by a call. */
async function changeWhileGone(
  rig: Rig,
  service: 'keys' | 'certificates',
  signal: NodeJS.Signals,
  change: () => Promise<unknown>,
): Promise<void> {
  await rig.stop(service, signal);
  await change();
  await busctlProperty(rig, service, 'Version');
}

test('includes the key of a preloaded certificate, the first time it is read', async ({ rig }) => {
  // the name does not wait longer than a second, which the start of another process can take
  await busctlProperty(rig, 'keys', 'Version');
  const args = [certificatesService.busName, device, child.interface.name, 'KeyId'];
  const { stdout, stderr } = await rig.busctl(['get-property', ...args]);
  assert.is(stdout, 's "device-id"\n', stderr);
});

for (const signal of ['SIGTERM', 'SIGKILL'] as const) {
  test(`includes a certificate that changed while its service was stopped, after ${signal}`, async ({
    rig,
    bus,
  }) => {
    const caching = await cachingOf(rig, bus, 'certificates');
    assert.is(caching.cached(device).get('State'), '"valid"');
    const file = join(rig.directory, 'secrets/device-id.cer');
    await changeWhileGone(rig, 'certificates', signal, () => writeFile(file, 'damaged'));
    assert.equal(await caching.errors(), []);
    assert.ok(caching.signals.includes(`~ ${device} State`), caching.signals.join('\n'));
    const isAbout = (one: string): boolean => one.startsWith('~ /org/iotedge/Certificates1 ');
    assert.ok(caching.signals.some(isAbout), 'the manager is degraded');
    const other = certificatesService.child.segment;
    const untouched = `~ ${childPath(path, other, 'device-ca')} State`;
    assert.is(caching.signals.includes(untouched), signal === 'SIGKILL');
  });

  test(`includes keys that were added while their service was stopped, after ${signal}`, async ({
    rig,
    bus,
  }) => {
    await makeKey(bus, 'before');
    const caching = await cachingOf(rig, bus, 'keys');
    await changeWhileGone(rig, 'keys', signal, async () => {
      const change = `cd ${rig.stateDirectory('keys')} && find . -name 'before*' | while read f; do
        cp -p "$f" "$(dirname "$f")/copy\${f##*/before}"; done`;
      await rig.run('sh', ['-c', change]);
    });
    const names = await readdir(rig.stateDirectory('keys'), { recursive: true });
    assert.ok(
      names.some((name) => name.includes('copy')),
      names.join(),
    );
    const copy = childPath(keysService.path, keysService.child.segment, 'copy');
    const errors = await caching.errors();
    assert.ok(errors.length === 0 || errors.join().includes(`${copy} is new`), errors.join('\n'));
    assert.is(caching.signals.includes(`+ ${copy}`), signal === 'SIGTERM');
  });
}

test('excludes a key that was removed while its service was stopped', async ({ rig, bus }) => {
  await makeKey(bus, 'before');
  const caching = await cachingOf(rig, bus, 'keys');
  await changeWhileGone(rig, 'keys', 'SIGTERM', async () => {
    const directory = rig.stateDirectory('keys');
    const names = await readdir(directory, { recursive: true });
    for (const name of names.filter((one) => one.includes('before'))) {
      await rm(join(directory, name));
    }
  });
  assert.equal(await caching.errors(), []);
  const gone = childPath(keysService.path, keysService.child.segment, 'before');
  assert.equal(caching.signals, [`- ${gone}`]);
});

test('is unchanged when nothing changed', async ({ rig, bus }) => {
  const caching = await cachingOf(rig, bus, 'certificates');
  await changeWhileGone(rig, 'certificates', 'SIGTERM', () => Promise.resolve());
  await changeWhileGone(rig, 'certificates', 'SIGTERM', () => Promise.resolve());
  assert.equal(await caching.errors(), []);
  assert.equal(caching.signals, []);
});

test('is the same through a proxy of GLib', async ({ rig, bus }) => {
  await client(bus, certificatesService, certificatesInterface).Describe({});
  const script = fileURLToPath(
    new URL('../../../test/support/clients/glib-cache.py', import.meta.url),
  );
  const args = [script, rig.address, certificatesService.busName, device, child.interface.name];
  const proxy = spawn('/usr/bin/python3', [...args, 'State'], {
    stdio: ['pipe', 'pipe', 'inherit'],
  });
  try {
    const lines = createInterface({ input: proxy.stdout })[Symbol.asyncIterator]();
    const line = async (): Promise<unknown> =>
      (await deadline(30_000, lines.next(), 'the proxy')).value;
    assert.is(await line(), "'valid'");
    const file = join(rig.directory, 'secrets/device-id.cer');
    await changeWhileGone(rig, 'certificates', 'SIGTERM', () => writeFile(file, 'damaged'));
    proxy.stdin.write('\n');
    assert.is(await line(), "'damaged'");
  } finally {
    const ended = once(proxy, 'close');
    proxy.kill('SIGKILL');
    await deadline(5000, ended, 'the proxy to end');
  }
});

test.run();
