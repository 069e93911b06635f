import { X509Certificate } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { client } from '../../src/dbus/client/client.ts';
import { keysInterface, keysService } from '../../src/interfaces/keys.ts';
import { softhsmLibrary, tokenPin } from '../support/keys/softhsm.ts';
import type { Scene } from './scene.ts';

/** Shows the keys of the token, their certificates, and a signature over the bus. */
export async function showToken({ rig, account, signal }: Scene): Promise<void> {
  const listing = await rig.token.tool('--list-objects', '--type', 'privkey');
  for (const [, label, access] of listing.matchAll(/label: +(.+)\n[\s\S]*?Access: +(.+)\n/g)) {
    account.print(`${label}: ${access}`);
  }
  for (const name of ['device-id', 'device-ca']) {
    const pem = await readFile(join(rig.directory, 'secrets', `${name}.cer`));
    const { subject, issuer } = new X509Certificate(pem);
    account.print(`certificate of ${name}: ${subject}, issued by ${issuer}`);
  }
  await using bus = await rig.connect();
  const keys = client(bus, keysService, keysInterface);
  const data = Buffer.from('to whom it may concern');
  const { signature } = await keys.Sign(
    { key_id: 'device-id', mechanism: 'ecdsa-sha256', data },
    { signal },
  );
  account.print(`signature by device-id over the bus: ${signature.length} bytes`);
  account.tryThis(
    `SOFTHSM2_CONF=${rig.token.configuration} pkcs11-tool --module ${softhsmLibrary()} --login --pin ${tokenPin} --list-objects`,
  );
  account.tryThis(`busctl --address=${rig.address} tree ${keysService.busName}`);
}
