/** Certificates from a helper that signs with openssl, with keys of a real Keys service. */
import { chmod, chown, copyFile, mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import type { Bus } from '../../../src/dbus/bus.ts';
import { client } from '../../../src/dbus/client/client.ts';
import {
  certificatesInterface,
  certificatesService,
} from '../../../src/interfaces/certificates.ts';
import { type Certificate, parseCertificatesPem } from '../../../src/x509/certificate.ts';
import { EstCa } from '../../support/est/est-ca.ts';
import { messageOf } from '../../support/failure.ts';
import { Rig } from '../../support/rig/rig.ts';
import { rigUsers } from '../../support/rig/rig-users.ts';

const test = suite('a helper in the service');
const id = 'plant/one';

/** Waits at SUBMIT, issues at POLL; wants another key than that of the first certificate for the second. */
const script = (home: string): string => `#!/bin/sh
cd ${home}
echo "$CERTMONGER_OPERATION $(id -u) $(ls /proc/self/fd | wc -l)" >> seen/runs
echo "$CERTMONGER_SPKI" >> seen/keys
if [ "$CERTMONGER_OPERATION" = SUBMIT ]; then
  case $(wc -l < seen/runs) in 3) echo 'this key is used up'; exit 17;; esac
  printf '1\\nnumber  7\\n'
  exit 5
fi
[ "$CERTMONGER_CA_COOKIE" = "number  7
" ] || exit 4
printf '%s' "$CERTMONGER_CSR" |
  openssl x509 -req -CA issuing.cer -CAkey issuing.key -days "$(cat days)" \\
    -set_serial "0x$(openssl rand -hex 8)" -copy_extensions copyall -extfile leaf.ext 2>/dev/null ||
  exit 3
cat issuing.cer
`;

async function configured(rig: Rig, ca: EstCa) {
  const home = join(rig.directory, 'helper');
  await mkdir(join(home, 'seen'), { recursive: true });
  await chown(join(home, 'seen'), rigUsers['iotedge-certificates'], 0);
  for (const file of ['issuing.cer', 'issuing.key', 'leaf.ext']) {
    await copyFile(join(ca.directory, file), join(home, file));
  }
  await chown(join(home, 'issuing.key'), rigUsers['iotedge-certificates'], 0);
  await writeFile(join(home, 'days'), '10');
  const program = join(home, 'submit');
  await writeFile(program, script(home), { mode: 0o755 });
  await rig.configure('certificates', {
    issuers: { plant: { method: 'command', command: [program], timeout_s: 20 } },
    certificates: { 'plant/*': { method: 'command', issuer: 'plant', dns: ['edge.plant'] } },
  });
  const lines = async (file: string) =>
    (await readFile(join(home, 'seen', file), 'utf8')).trim().split('\n');
  return { home, program, lines };
}

async function current(bus: Bus): Promise<{ readonly leaf: Certificate; readonly keyId: string }> {
  const certificates = client(bus, certificatesService, certificatesInterface);
  const { certificate } = await certificates.GetCertificate({ certificate_id: id });
  const chain = parseCertificatesPem(Buffer.from(certificate.chain_pem), 'it');
  const [leaf] = chain;
  if (leaf === undefined) throw new TypeError('it is empty');
  assert.equal(
    chain.map(({ subjectText }) => subjectText),
    [`CN=${id}`, 'CN=EST issuing'],
  );
  return { leaf, keyId: certificate.key_id };
}

test('enrolls after a wait, renews with another key, and is not run when others may change it', async () => {
  await using rig = await Rig.start();
  await using ca = await EstCa.create();
  const { home, program, lines } = await configured(rig, ca);
  await using bus = await rig.connect();
  const certificates = client(bus, certificatesService, certificatesInterface);
  const call = { certificate_id: id };

  assert.match(await messageOf(certificates.Enroll(call)), 'has not decided');
  // its cookie survives the process
  await rig.stop('certificates');
  await certificates.Enroll(call);
  const first = await current(bus);
  assert.equal(first.leaf.alternativeNames, ['dns:edge.plant']);

  await writeFile(join(home, 'days'), '20');
  assert.match(await messageOf(certificates.Renew(call)), 'has not decided');
  await certificates.Renew(call);
  const second = await current(bus);
  assert.is.not(second.keyId, first.keyId);
  const uid = rigUsers['iotedge-certificates'];
  // 0, 1, 2 and that of the listing
  assert.equal(
    await lines('runs'),
    ['SUBMIT', 'POLL', 'SUBMIT', 'SUBMIT', 'POLL'].map((operation) => `${operation} ${uid} 4`),
  );
  const keys = await lines('keys');
  assert.is(new Set(keys).size, 3, 'a key for each order, and one more for the last');
  assert.is(keys.at(-1), second.leaf.spki.toString('base64'));

  await chmod(home, 0o775);
  assert.match(
    await messageOf(certificates.Renew(call)),
    /Unavailable: .*may be changed by others/,
  );
  await chmod(home, 0o755);
  await writeFile(program, '#!/bin/sh\nexec head -c 1073741824 /dev/zero\n');
  assert.match(await messageOf(certificates.Renew(call)), /Unavailable: .*more than 256 KiB/);
  assert.is((await lines('runs')).length, 5);
  assert.is((await current(bus)).leaf.fingerprint, second.leaf.fingerprint);
});

test.run();
