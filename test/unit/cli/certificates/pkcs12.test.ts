/** PKCS#12 as OpenSSL, GnuTLS and Windows write it, and what OpenSSL reads of ours. */
import { execFileSync } from 'node:child_process';
import { createHash, type KeyObject } from 'node:crypto';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { importFormat } from '../../../../src/cli/certificates/material/import-format.ts';
import { keyWithChainIn, pkcs12Of } from '../../../../src/cli/certificates/material/material.ts';
import { type ErrorCode, isServiceError } from '../../../../src/errors.ts';
import {
  type Certificate,
  encodeCertificatesPem,
  parseCertificatesPem,
} from '../../../../src/x509/certificate.ts';
import { writePkcs12 } from '../../../../src/x509/pkcs12/write.ts';
import { makeCa, makeKey, openssl, Workspace } from '../../../support/x509/openssl.ts';

const test = suite<Files>('PKCS#12 files');
const password = 'Pässwört €𝄞';

interface Identity {
  readonly key: KeyObject;
  readonly leaf: Certificate;
}

interface Files {
  readonly workspace: Workspace;
  readonly root: Certificate;
  readonly ec: Identity;
  readonly rsa: Identity;
}

test.before(async (files) => {
  const key = makeKey('ec-p256');
  const root = await makeCa({ name: 'CN=root', key });
  const identity = async (kind: 'ec-p384' | 'rsa-2048'): Promise<Identity> => {
    const own = makeKey(kind);
    const by = { certificate: root, key };
    return { key: own, leaf: await makeCa({ name: `CN=${kind}`, key: own, by }) };
  };
  const made = { ec: await identity('ec-p384'), rsa: await identity('rsa-2048') };
  Object.assign(files, { workspace: new Workspace(), root, ...made });
});
test.after(({ workspace }) => workspace[Symbol.dispose]());

function pem(key: KeyObject): string {
  return String(key.export({ format: 'pem', type: 'pkcs8' }));
}

/** A file that openssl writes of a key and certificates. */
function exported(
  workspace: Workspace,
  { keys, certificates }: { readonly keys: string; readonly certificates: readonly Certificate[] },
  options: readonly string[] = [],
  secret = password,
): Buffer {
  const key = workspace.write('key.pem', keys);
  const chain = workspace.write('chain.pem', encodeCertificatesPem(certificates));
  const passout = `file:${workspace.write('password', `${secret}\n`)}`;
  const args = ['-export', '-in', chain, '-inkey', key, '-passout', passout, ...options];
  return execFileSync('openssl', ['pkcs12', ...args], { timeout: 20_000, stdio: 'pipe' });
}

function refusal(read: () => unknown, code: ErrorCode, text: RegExp): void {
  try {
    read();
  } catch (error) {
    assert.ok(isServiceError(error, code), String(error));
    assert.match(String(error), text);
    return;
  }
  assert.unreachable('it was read');
}

/** What a file holds, byte for byte. */
function read(data: Buffer, secret = password) {
  assert.is(importFormat(data, 'x'), 'pkcs12');
  const { key, chainPem } = keyWithChainIn(data, Buffer.from(secret), 'x.p12');
  return { key, chain: parseCertificatesPem(Buffer.from(chainPem), 'x').map(({ der }) => der) };
}

const variants: readonly (readonly string[])[] = [
  [],
  ['-legacy'],
  ['-legacy', '-descert', '-name', 'As Windows writes it'],
  ['-legacy', '-certpbe', 'PBE-SHA1-RC2-128', '-keypbe', 'PBE-SHA1-2DES'],
  ['-macalg', 'sha1', '-certpbe', 'AES-128-CBC', '-keypbe', 'AES-192-CBC'],
  ['-macalg', 'sha384'],
  ['-macalg', 'sha512', '-iter', '5000'],
  ['-nomac'],
  ['-nomaciter', '-noiter'],
  ['-keypbe', 'NONE', '-certpbe', 'NONE'],
];

test('are read whatever OpenSSL encrypts them with', ({ workspace, root, ec, rsa }) => {
  for (const { key, leaf } of [ec, rsa]) {
    // the bags of an RSA key differ by their content alone
    for (const options of key === ec.key ? variants : variants.slice(0, 3)) {
      const parts = { keys: pem(key), certificates: [leaf, root] };
      const found = read(exported(workspace, parts, options));
      assert.equal(found.chain, [leaf.der, root.der], options.join(' '));
      assert.ok(found.key.equals(key.export({ format: 'der', type: 'pkcs8' })), options.join(' '));
    }
  }
});

test('are read in PEM, and with an empty password or none, as GnuTLS writes them', ({
  workspace,
  root,
  ec: { key, leaf },
}) => {
  const parts = { keys: pem(key), certificates: [leaf, root] };
  assert.equal(read(exported(workspace, parts, [], ''), '').chain, [leaf.der, root.der]);
  const files = [
    ['--load-privkey', workspace.write('key.pem', pem(key))],
    ['--load-certificate', workspace.write('leaf.pem', encodeCertificatesPem([leaf]))],
  ].flat();
  for (const options of [
    ['--null-password'],
    ['--empty-password', '--outder'],
    ['--password', 'secret'],
  ]) {
    const args = ['--to-p12', '--p12-name', 'x', ...files, ...options];
    const data = execFileSync('certtool', args, { timeout: 20_000, stdio: 'pipe' });
    const secret = options.includes('secret') ? 'secret' : '';
    assert.equal(read(data, secret).chain, [leaf.der], options.join(' '));
  }
});

test('are refused with a wrong password, damaged, or with too many iterations', ({
  workspace,
  root,
  ec: { key, leaf },
}) => {
  const parts = { keys: pem(key), certificates: [leaf, root] };
  for (const options of [[], ['-legacy'], ['-nomac']]) {
    const data = exported(workspace, parts, options);
    refusal(() => read(data, 'other'), 'InvalidArgs', /x\.p12 cannot be read as PKCS#12: /);
    for (let at = 0; at < data.length; at += 509) {
      const damaged = Buffer.from(data);
      damaged.writeUInt8(damaged.readUInt8(at) ^ 0x15, at);
      const cut = data.subarray(0, at);
      for (const one of [damaged, cut]) {
        try {
          keyWithChainIn(one, Buffer.from(password), 'x.p12')[Symbol.dispose]();
        } catch (error) {
          assert.ok(
            isServiceError(error, 'InvalidArgs'),
            `${options.join()} ${at}: ${String(error)}`,
          );
        }
      }
    }
  }
  const data = exported(workspace, parts);
  refusal(() => read(data, 'other'), 'InvalidArgs', /the password is wrong, or the file/);
  const damaged = Buffer.from(data);
  damaged.writeUInt8(damaged.readUInt8(600) ^ 1, 600);
  refusal(() => read(damaged), 'InvalidArgs', /the password is wrong, or the file is damaged/);
  const slow = Buffer.from(data);
  slow.writeUInt16BE(0x7fff, slow.lastIndexOf(Buffer.of(2, 2, 8, 0)) + 2);
  refusal(() => read(slow), 'InvalidArgs', /wrong/);
  const hostile = Buffer.concat([slow.subarray(0, -4), Buffer.of(2, 4, 0x7f, 0xff, 0xff, 0xff)]);
  for (const at of [2, slow.indexOf(Buffer.of(0x30, 0x41), slow.length - 80) - 1]) {
    if (at === 2) hostile.writeUInt16BE(hostile.length - 4, at);
    else hostile.writeUInt8(hostile.readUInt8(at + 2) + 2, at + 2);
  }
  refusal(() => read(hostile), 'InvalidArgs', /more than 10000000 iterations/);
  refusal(() => keyWithChainIn(data, Buffer.of(0xff), 'x'), 'InvalidArgs', /not UTF-8/);
});

test('are refused unless they hold one key with its chain', ({ workspace, root, ec, rsa }) => {
  const chainOf = { keys: pem(ec.key), certificates: [ec.leaf] };
  const without = exported(workspace, chainOf, ['-nokeys']);
  refusal(() => read(without), 'InvalidArgs', /holds no private key: /);
  const strangers = { ...chainOf, certificates: [ec.leaf, rsa.leaf, root] };
  refusal(() => read(exported(workspace, strangers)), 'InvalidArgs', /are not one chain/);
  const key = rsa.key.export({ format: 'der', type: 'pkcs8' });
  const foreign = writePkcs12(
    { key, certificates: [ec.leaf.der], name: 'x' },
    Buffer.from(password),
  );
  refusal(() => read(foreign), 'InvalidArgs', /a private key that is not that of CN=ec-p384/);
  const alone = exported(workspace, chainOf, ['-nocerts']);
  refusal(() => read(alone), 'InvalidArgs', /holds no certificate/);
});

test('are written for OpenSSL with PBES2, AES-256 and SHA-256', ({ workspace, root, ec }) => {
  const { key, leaf } = ec;
  const parts = {
    key: key.export({ format: 'der', type: 'pkcs8' }),
    chainPem: encodeCertificatesPem([leaf, root]),
    name: 'app/one',
  };
  const data = pkcs12Of(parts, Buffer.from(password));
  assert.equal(read(data).chain, [leaf.der, root.der]);
  const file = workspace.write('x.p12', data);
  const passin = `file:${workspace.write('password', password)}`;
  const text = execFileSync(
    'sh',
    ['-c', 'exec openssl pkcs12 -in "$1" -passin "$2" -info -nodes 2>&1', '-', file, passin],
    { encoding: 'utf8', timeout: 20_000 },
  );
  assert.match(text, /MAC: sha256, Iteration 250000/);
  const scheme = /PBES2, PBKDF2, AES-256-CBC, Iteration 250000, PRF hmacWithSHA256/g;
  assert.is(text.match(scheme)?.length, 2);
  assert.match(text, /friendlyName: app\/one/);
  const id = createHash('sha1').update(leaf.der).digest('hex').toUpperCase().match(/../g) ?? [];
  assert.is(text.split(`localKeyID: ${id.join(' ')}`).length, 3, 'of the key and its certificate');
  assert.match(text, pem(key).trim());
  const other = { ...parts, key: makeKey('ec-p256').export({ format: 'der', type: 'pkcs8' }) };
  refusal(() => pkcs12Of(other, Buffer.from(password)), 'Failed', /not that of the certificate/);
  assert.match(openssl('version'), 'OpenSSL');
});

test.run();
