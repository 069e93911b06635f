/** The published properties of certificates as files are replaced and time passes, without calls to the service. */
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { suite } from 'uvu';
import { client } from '../../../src/dbus/client/client.ts';
import { Variant } from '../../../src/dbus/wire/variant.ts';
import {
  certificatesInterface,
  certificatesService,
} from '../../../src/interfaces/certificates.ts';
import { encodeCertificatesPem } from '../../../src/x509/certificate.ts';
import { until } from '../../support/deadline.ts';
import { Rig } from '../../support/rig/rig.ts';
import { makeCa, makeKey } from '../../support/x509/openssl.ts';

const test = suite('certificates without calls');
const waitMs = 20_000;
const dayMs = 86_400_000;

/** Runs the periodic timers of the service two hundred times as often. */
const hastened = `--import data:text/javascript,${encodeURIComponent(
  'const every = globalThis.setInterval;' +
    'globalThis.setInterval = (action, ms, ...rest) => every(action, ms / 200, ...rest);',
)}`;

test('are announced when their file is replaced and when their validity ends', async () => {
  await using rig = await Rig.start({ environment: { certificates: { NODE_OPTIONS: hastened } } });
  const key = makeKey('ed25519');
  const file = join(rig.directory, 'secrets', 'site.cer');
  const write = async (name: string, now: Date) =>
    writeFile(file, encodeCertificatesPem([await makeCa({ name, key, now })]));
  await write('CN=before', new Date());
  await rig.configure('certificates', { 'preloaded_cert:site': file });
  await using bus = await rig.connect();
  const certificates = client(bus, certificatesService, certificatesInterface);
  await certificates.GetCertificate({ certificate_id: 'site' });
  const announced = new Map<string, unknown>();
  const path = `${certificatesService.path}/certificate/site`;
  await using _changes = await bus.subscribe(
    { sender: certificatesService.busName, path, member: 'PropertiesChanged' },
    ({ body: [, changed] }) => {
      for (const [name, value] of Object.entries(changed as object)) {
        if (value instanceof Variant) announced.set(name, value.value);
      }
    },
  );
  // its validity ends in about three seconds
  await write('CN=after', new Date(Date.now() - dayMs + 3_600_000 + 3000));
  await until(waitMs, 'the other subject', () => announced.get('Subject') === 'CN=after');
  await until(waitMs, 'the end of its life', () => announced.get('State') === 'expired');
});

test.run();
