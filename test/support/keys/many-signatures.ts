/** Signs digests, one after the other, in a process with frequent garbage collection; prints the number of signatures. */
import { createECDH, createPrivateKey, randomBytes } from 'node:crypto';
import { signDigest } from '../../../src/keys/crypto/ecdsa.ts';
import { tlv } from '../../../src/keys/material/der.ts';

const ecdh = createECDH('prime256v1');
ecdh.generateKeys();
const curve = tlv(0xa0, Buffer.from('06082a8648ce3d030107', 'hex'));
const half = tlv(0xa1, tlv(0x03, Buffer.of(0), ecdh.getPublicKey()));
const scalar = Buffer.from(ecdh.getPrivateKey('hex').padStart(64, '0'), 'hex');
const sec1 = tlv(0x30, Buffer.of(2, 1, 1), tlv(0x04, scalar), curve, half);
const key = createPrivateKey({ key: sec1, format: 'der', type: 'sec1' });

const count = Number(process.argv[2]);
for (let made = 0; made < count; made++) signDigest('ec-p256', key, randomBytes(32));
process.stdout.write(String(count));
