/** Servers of others with a published certificate, whose key is in the Keys service, across its renewal. */
import type { ChildProcess } from 'node:child_process';
import { X509Certificate } from 'node:crypto';
import { once } from 'node:events';
import { chmod, chown, cp, mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { connect } from 'node:tls';
import { fileURLToPath } from 'node:url';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import type { Bus } from '../../../src/dbus/bus.ts';
import { type Client, client } from '../../../src/dbus/client/client.ts';
import {
  certificatesInterface,
  certificatesService,
} from '../../../src/interfaces/certificates.ts';
import { deadline, until } from '../../support/deadline.ts';
import { Rig } from '../../support/rig/rig.ts';
import { rigUsers } from '../../support/rig/rig-users.ts';
import { HeldPort } from '../../support/tls/held-port.ts';

interface Setting {
  rig: Rig;
  bus: Bus;
  certificates: Client<typeof certificatesInterface>;
}

const test = suite<Setting>('servers with a published certificate');
const root = fileURLToPath(new URL('../../../../', import.meta.url));
const id = 'web';
const name = 'web.local';
const waitMs = 20_000;

test.before(async (context) => {
  const rig = (context.rig = await Rig.start());
  const published = join(rig.directory, 'published');
  const uid = rigUsers['iotedge-certificates'];
  await mkdir(published);
  await chmod(published, 0o755);
  await chown(published, uid, uid);
  await rig.configure('certificates', {
    certificates: {
      root: { method: 'self_signed', profiles: ['device-ca'], lifetime: '400d' },
      web: { issuer: 'root', profiles: ['server'], dns: [name], publish: true },
    },
    trust_bundle: ['root'],
    publish_dir: published,
  });
  context.bus = await rig.connect();
  context.certificates = client(context.bus, certificatesService, certificatesInterface);
  await context.certificates.Enroll({ certificate_id: 'root' });
  await context.certificates.Enroll({ certificate_id: id });
  const modules = join(rig.directory, 'ossl-modules');
  await cp(join(root, 'dist/lib/ossl-modules'), modules, { recursive: true });
  const example = await readFile(join(root, 'src/native/provider/openssl.cnf'), 'utf8');
  const text = example.replace('/usr/lib/iotedge/lib/ossl-modules', modules);
  await writeFile(join(rig.directory, 'openssl.cnf'), text);
});
test.after(async ({ bus, rig }) => {
  await bus.close();
  await rig[Symbol.asyncDispose]();
});

/** The serial number of the certificate that a server has after a verified handshake. */
async function serialAt(port: number, ca: Buffer): Promise<string> {
  const socket = connect({ host: '127.0.0.1', port, ca, servername: name });
  try {
    await deadline(10_000, once(socket, 'secureConnect'), 'the handshake');
    return socket.getPeerCertificate().serialNumber;
  } finally {
    socket.destroy();
  }
}

/** The configuration of a server that listens at a port, and its command. */
const servers: Readonly<
  Record<string, (files: string, port: number) => readonly [string, string]>
> = {
  nginx: (files, port) => [
    `daemon off; user root; worker_processes 1; pid nginx.pid; error_log stderr;
env DBUS_SYSTEM_BUS_ADDRESS;
events {}
http {
  access_log off;
  server {
    listen 127.0.0.1:${port} ssl;
    ssl_certificate ${files}/fullchain.pem;
    ssl_certificate_key ${files}/key.pem;
  }
}
`,
    '/usr/sbin/nginx -e stderr -p . -c',
  ],
  mosquitto: (files, port) => [
    `user root
listener ${port} 127.0.0.1
allow_anonymous true
certfile ${files}/fullchain.pem
keyfile ${files}/key.pem
`,
    '/usr/sbin/mosquitto -c',
  ],
};

for (const [server, configurationOf] of Object.entries(servers)) {
  test(`that are ${server} serve the new one after a reload, without a refused handshake`, async ({
    certificates,
    rig,
  }) => {
    const ca = await readFile(join(rig.directory, 'published', id, 'current', 'bundle.pem'));
    await using held = await HeldPort.hold();
    const { port } = held;
    const files = join(rig.directory, 'published', id, 'current');
    const [text, command] = configurationOf(files, port);
    const file = join(rig.directory, `${server}.conf`);
    await writeFile(file, text);
    const [program = '', ...args] = command.split(' ');
    const environment = [`OPENSSL_CONF=${rig.directory}/openssl.cnf`];
    const argv = ['-C', rig.directory, ...environment, program, ...args, file];
    const running: ChildProcess = rig.spawn('env', argv);
    try {
      const works = () =>
        serialAt(port, ca).then(
          () => true,
          () => false,
        );
      await until(waitMs, `${server} to listen`, works);
      const before = await serialAt(port, ca);
      const seen: string[] = [];
      const state = { isOver: false };
      const handshakes = (async () => {
        while (!state.isOver) seen.push(await serialAt(port, ca));
      })();
      await certificates.Renew({ certificate_id: id });
      running.kill('SIGHUP');
      // former workers of nginx accept connections for a moment
      const { serialNumber } = new X509Certificate(await readFile(join(files, 'fullchain.pem')));
      const isNew = () =>
        Promise.resolve(seen.length >= 5 && seen.slice(-5).every((one) => one === serialNumber));
      await until(waitMs, 'the new certificate', isNew);
      state.isOver = true;
      await handshakes;
      assert.equal([...new Set(seen)], [before, serialNumber]);
    } finally {
      running.kill('SIGTERM');
      if (running.exitCode === null) await deadline(waitMs, once(running, 'exit'), server);
    }
  });
}

test.run();
