import { createPrivateKey } from 'node:crypto';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { localSigner, spkiOf } from '../../../src/x509/algorithm.ts';
import { encodeCertificatesPem, parseCertificatesPem } from '../../../src/x509/certificate.ts';
import { buildCertificate } from '../../../src/x509/certificate-builder.ts';
import { basicConstraints, extendedKeyUsage, keyUsage } from '../../../src/x509/extensions.ts';
import { encodeName, parseName } from '../../../src/x509/name.ts';
import type { Validity } from '../../../src/x509/validity.ts';
import type { Rig } from '../rig/rig.ts';
import { deviceName } from '../rig/rig-config.ts';

/** The file with the certificate of a rig's device. */
export function deviceCertificateFile(rig: Rig): string {
  return join(rig.directory, 'secrets', 'device-id.cer');
}

/** Replaces the certificate of a rig's device by one with another validity, or another name. */
export async function certifyDevice(
  rig: Rig,
  validity: Validity,
  name = deviceName,
): Promise<void> {
  const rootKey = createPrivateKey(await readFile(join(rig.directory, 'authority', 'root.key')));
  const [root] = parseCertificatesPem(Buffer.from(await rig.authority.certificate()), 'root');
  if (root === undefined) throw new TypeError('the rig has no root');
  const content = {
    subjectDer: encodeName(parseName(`CN=${name}`)),
    spki: spkiOf(await rig.token.publicKey('device id')),
    validity,
    extensions: [
      basicConstraints({ ca: false }),
      keyUsage(['digitalSignature']),
      extendedKeyUsage(['clientAuth']),
    ],
  };
  const der = await buildCertificate(content, root, localSigner(rootKey));
  await writeFile(deviceCertificateFile(rig), encodeCertificatesPem([{ der }]));
}
