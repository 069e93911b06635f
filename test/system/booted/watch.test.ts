/** `iotedgectl certificates watch` with nginx, and as docs/certificates.md says: renewals, one that systemd does not see, a boot. */
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import * as assert from 'uvu/assert';
import { bootedSuite } from '../../support/boot/booted-suite.ts';
import type { BootedSystem } from '../../support/boot/booted-system.ts';
import { installBroker } from '../../support/boot/broker.ts';
import { WebServer } from '../../support/boot/web-server.ts';
import { until } from '../../support/deadline.ts';
import { DocumentShell } from '../../support/documents/document-shell.ts';
import { stepsOf } from '../../support/documents/shell-document.ts';

const test = bootedSuite('watch on a published certificate');
const name = 'web.local';
const published = '/var/lib/iotedge/published';
const files = `${published}/web/current`;
const watch = 'iotedge-watch-web-nginx';
const configuration = `certificates:
  root: {method: self_signed, profiles: [device-ca], lifetime: '400d'}
  web: {issuer: root, profiles: [server], dns: ['${name}'], publish: true}
trust_bundle: [root]
`;

let server: WebServer;

async function iotedgectl(system: BootedSystem, words: string): Promise<string> {
  return system.output(['iotedgectl', ...words.split(' ')], { timeoutMs: 60_000 });
}

const renew = (system: BootedSystem) => system.call('Certificates', 'Renew', 'sa{sv}', 'web');

const brokerFiles = `${published}/broker/current`;

/** Waits until the broker has the certificate that is published, in a handshake that the key has signed. */
async function untilBrokerServes(system: BootedSystem): Promise<void> {
  const client = 'openssl s_client -connect 127.0.0.1:8883 -verify_return_error';
  const script = `${client} -CAfile /root/site-ca.pem </dev/null >/run/handshake 2>&1 || exit 1
openssl x509 -in /run/handshake -outform der | cmp - /run/published`;
  const text = `openssl x509 -in ${brokerFiles}/fullchain.pem -outform der >/run/published`;
  await until(20_000, 'the broker to have the published certificate', async () => {
    await system.output(text);
    return (await system.run(script)).code === 0;
  });
}

/** Waits until nothing is left to do for the watch. */
async function untilIdle(system: BootedSystem): Promise<void> {
  await until(20_000, 'the watch to be idle', async () => {
    const { ActiveState, Job } = await system.unit(`${watch}.service`);
    return ActiveState === 'inactive' && (Job === undefined || Job === '0');
  });
}

test('reloads the server exactly once for each renewal', async (system) => {
  await system.write('/etc/iotedge/certificates.yaml', configuration);
  for (const id of ['root', 'web']) await system.call('Certificates', 'Enroll', 'sa{sv}', id);
  server = await WebServer.start(system, name, files);
  await iotedgectl(system, `certificates watch web --reload ${WebServer.unit}`);
  await untilIdle(system);
  await server.reloads(); // for a server that was not watched before
  for (let count = 0; count < 2; count++) {
    const before = await server.serial();
    await renew(system);
    assert.is.not(await server.published(), before);
    await server.untilPublished();
    await untilIdle(system);
    assert.is(await server.reloads(), 1);
  }
});

test('is not begun for a unit that there is not', async (system) => {
  const { code, stderr } = await system.run('iotedgectl certificates watch web --reload nginxx');
  assert.is.not(code, 0);
  assert.match(stderr.toString(), 'there is no unit nginxx.service');
  assert.is(await system.output('ls /etc/systemd/system | grep -c web-nginxx || true'), '0');
});

test('has its timer find a renewal that systemd did not see during a daemon-reload', async (system) => {
  const generator = '/etc/systemd/system-generators/slow';
  const wait = '#!/bin/sh\ntouch /run/reloading\nuntil [ -e /run/go-on ]; do sleep 0.05; done\n';
  await system.write(generator, wait, '0755');
  await renew(system); // the services run from here on, without systemd
  await server.untilPublished();
  await untilIdle(system);
  await server.reloads();
  const reloading = system.output(['systemctl', 'daemon-reload']);
  await system.output('until [ -e /run/reloading ]; do sleep 0.05; done');
  await renew(system);
  await system.output(`rm ${generator}; touch /run/go-on`);
  await reloading;
  await untilIdle(system);
  assert.is(await server.reloads(), 0, 'it was seen');
  assert.is.not(await server.serial(), await server.published());
  const { Unit, NextElapseUSecRealtime } = await system.unit(`${watch}.timer`);
  assert.is(Unit, `${watch}.service`);
  assert.is.not(NextElapseUSecRealtime, '');
  for (let count = 0; count < 2; count++) {
    await system.output(`systemctl start ${watch}.service`); // as the timer does
    await server.untilPublished();
    assert.is(await server.reloads(), 1 - count);
  }
});

test('works with a broker that has a user of its own, as the document says', async (system) => {
  await installBroker(system);
  const text = await readFile(
    join(import.meta.dirname, '../../../../docs/certificates.md'),
    'utf8',
  );
  const shell = new DocumentShell(system);
  for (const step of stepsOf('certificates.md', text)) await shell.run(step);
  await untilBrokerServes(system);
  await system.call('Certificates', 'Renew', 'sa{sv}', 'broker');
  await untilBrokerServes(system);
});

test('has a server at a boot that starts with the present certificate before anything has called Certificates', async (system) => {
  await system.output('systemctl disable iotedge-certificates.timer iotedge-identity.timer');
  const before = await server.serial();
  await system.reboot();
  assert.is(await server.serial(), before);
  assert.is(await server.published(), before);
  await untilBrokerServes(system);
  const { ActiveEnterTimestampMonotonic } = await system.unit('iotedge-certificates.service');
  assert.is(ActiveEnterTimestampMonotonic, '0', 'Certificates was started');
  await server.reloads();
  await renew(system);
  await server.untilPublished();
  await untilIdle(system);
  assert.is(await server.reloads(), 1);
});

test('is ended by --remove, with all that the command has written', async (system) => {
  const find = `find / -xdev -name '${watch}*' ! -path '/proc/*' ! -path '/sys/*'`;
  assert.is((await system.output(find)).split('\n').length, 6); // with a link for a unit, and the record
  await iotedgectl(system, 'certificates watch web --remove');
  assert.is(await system.output(find), '');
  for (const type of ['path', 'timer', 'service']) {
    const { ActiveState, LoadState } = await system.unit(`${watch}.${type}`);
    assert.equal([ActiveState, LoadState], ['inactive', 'not-found']);
  }
  assert.match(await iotedgectl(system, 'certificates list'), 'web');
});

test.run();
