import {
  createHash,
  createPrivateKey,
  createPublicKey,
  generatePrimeSync,
  type KeyObject,
} from 'node:crypto';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { localSigner, spkiOf } from '../../../src/x509/algorithm.ts';
import {
  type Certificate,
  encodeCertificatesPem,
  isSelfSigned,
  parseCertificate,
  parseCertificatesPem,
  parsePkcs7,
  readCertificates,
} from '../../../src/x509/certificate.ts';
import { buildCertificate } from '../../../src/x509/certificate-builder.ts';
import { arrange, orderChain, verifyLinks } from '../../../src/x509/chain.ts';
import { basicConstraints } from '../../../src/x509/extensions.ts';
import { encodeName, parseName } from '../../../src/x509/name.ts';
import { encodePkcs7 } from '../../../src/x509/pkcs7.ts';
import { renewalTime } from '../../../src/x509/renewal-time.ts';
import { failureOf } from '../../support/failure.ts';
import { crossSigned } from '../../support/x509/found-certificates.ts';
import { nameOf, oddCertificate } from '../../support/x509/odd-certificate.ts';
import { makeCa, makeKey, openssl, Workspace } from '../../support/x509/openssl.ts';

const test = suite('chains');

async function makeChain() {
  const [rootKey, middleKey] = [makeKey('ec-p256'), makeKey('rsa-2048')];
  const root = await makeCa({ name: 'CN=root', key: rootKey, pathLength: 1 });
  const byRoot = { certificate: root, key: rootKey };
  const middle = await makeCa({ name: 'CN=middle', key: middleKey, by: byRoot });
  const byMiddle = { certificate: middle, key: middleKey };
  const leaf = await makeCa({ name: 'CN=leaf', key: makeKey('ed25519'), by: byMiddle });
  return { root, middle, leaf, byRoot, byMiddle };
}

async function makeLeaf(
  issuer: Certificate,
  key: KeyObject,
  name = 'CN=leaf',
): Promise<Certificate> {
  const der = await buildCertificate(
    {
      subjectDer: encodeName(parseName(name)),
      spki: spkiOf(makeKey('ec-p256')),
      validity: { notBefore: issuer.notBefore, notAfter: issuer.notAfter },
      extensions: [basicConstraints({ ca: false })],
    },
    issuer,
    localSigner(key),
  );
  return parseCertificate(der, 'leaf');
}

test('sorts a chain, leaf first, without duplicates', async () => {
  const { root, middle, leaf } = await makeChain();
  const ordered = orderChain([root, leaf, middle, root]) ?? [];
  assert.equal(
    ordered.map(({ subjectText }) => subjectText),
    ['CN=leaf', 'CN=middle', 'CN=root'],
  );
});

test('preserves the order of a bundle of unrelated roots', async () => {
  const one = await makeCa({ name: 'CN=one', key: makeKey('ec-p256') });
  const two = await makeCa({ name: 'CN=two', key: makeKey('ec-p256') });
  assert.is(orderChain([one, two]), undefined);
  assert.equal(arrange([two, one]), [two, one]);
});

async function handIn(...certificates: readonly Certificate[]): Promise<readonly string[]> {
  const arranged = await Promise.resolve().then(() => arrange(certificates));
  return arranged.map(({ subjectText, issuerText }) => `${subjectText} by ${issuerText}`);
}

test('accepts a chain with a cross-signed root, in any order', async () => {
  const read = parseCertificatesPem(Buffer.from(crossSigned), 'it');
  const expected = [
    'CN=leaf by CN=Int',
    'CN=Int by CN=New Root',
    'CN=New Root by CN=Old Root',
    'CN=New Root by CN=New Root',
  ];
  assert.equal(await handIn(...read), expected);
  assert.equal(await handIn(...read.toReversed()), expected);
  const [leaf, middle, , root] = read;
  assert.ok(leaf && middle && root);
  using files = new Workspace();
  const chain = files.write('chain.pem', encodeCertificatesPem(arrange(read)));
  const trust = ['-CAfile', files.write('root.pem', encodeCertificatesPem([root]))];
  assert.match(openssl('verify', ...trust, '-untrusted', chain, chain), ': OK');
});

test('accepts a chain with both its roots, and puts the cross-signed one on the path', async () => {
  const [oldKey, newKey, caKey] = [makeKey('ec-p256'), makeKey('ec-p256'), makeKey('ec-p256')];
  const old = await makeCa({ name: 'CN=old', key: oldKey });
  const root = await makeCa({ name: 'CN=new', key: newKey });
  const crossed = await makeCa({
    name: 'CN=new',
    key: newKey,
    by: { certificate: old, key: oldKey },
  });
  const ca = await makeCa({ name: 'CN=ca', key: caKey, by: { certificate: root, key: newKey } });
  const leaf = await makeLeaf(ca, caKey);
  const expected = [
    'CN=leaf by CN=ca',
    'CN=ca by CN=new',
    'CN=new by CN=old',
    'CN=old by CN=old',
    'CN=new by CN=new',
  ];
  assert.equal(await handIn(old, root, crossed, ca, leaf), expected);
  assert.equal(await handIn(leaf, ca, root, old, crossed), expected);
});

test('puts the root on the path where the other certificate of its name does not allow it', async () => {
  const [oldKey, newKey, caKey] = [makeKey('ec-p256'), makeKey('ec-p256'), makeKey('ec-p256')];
  const old = await makeCa({ name: 'CN=old', key: oldKey });
  const root = await makeCa({ name: 'CN=new', key: newKey });
  const by = { certificate: old, key: oldKey };
  const crossed = await makeCa({ name: 'CN=new', key: newKey, by, pathLength: 0 });
  const ca = await makeCa({ name: 'CN=ca', key: caKey, by: { certificate: root, key: newKey } });
  const leaf = await makeLeaf(ca, caKey);
  assert.equal((await handIn(leaf, ca, crossed, root)).slice(0, 3), [
    'CN=leaf by CN=ca',
    'CN=ca by CN=new',
    'CN=new by CN=new',
  ]);
  assert.is(await failureOf(() => handIn(leaf, ca, crossed)), 'InvalidArgs');
});

test('puts spare roots after a chain, and refuses an unrelated CA', async () => {
  const { root, middle, leaf, byMiddle } = await makeChain();
  const spareKey = makeKey('ec-p256');
  const spare = await makeCa({ name: 'CN=spare', key: spareKey });
  const chain = ['CN=leaf by CN=middle', 'CN=middle by CN=root', 'CN=root by CN=root'];
  assert.equal(await handIn(spare, root, leaf, middle), [...chain, 'CN=spare by CN=spare']);
  const by = { certificate: spare, key: spareKey };
  const other = await makeCa({ name: 'CN=other', key: makeKey('ec-p256'), by });
  const end = await makeLeaf(middle, byMiddle.key);
  assert.is((await handIn(end, middle, spare)).length, 3);
  assert.is(await failureOf(() => handIn(end, middle, spare, other)), 'InvalidArgs');
  assert.throws(
    () => arrange([end, middle, spare, other]),
    /neither CN=leaf nor CN=other issued any of the others/,
  );
});

test('treats CAs whose issuers are missing as a bundle', async () => {
  const key = makeKey('ed25519');
  const by = { certificate: await makeCa({ name: 'CN=root', key }), key };
  const [one, other] = await Promise.all([
    makeCa({ name: 'CN=one', key: makeKey('ed25519'), by }),
    makeCa({ name: 'CN=other', key: makeKey('ed25519'), by }),
  ]);
  assert.equal(await handIn(other, one), ['CN=other by CN=root', 'CN=one by CN=root']);
});

test('puts certificates that are not on the path after it, each once however often it occurs', async () => {
  const key = makeKey('ed25519');
  const root = await makeCa({ name: 'CN=root', key });
  const leaf = await makeLeaf(root, key);
  const oddity = { subject: nameOf('CN=spare'), key: makeKey('ed25519'), by: makeKey('ed25519') };
  // it names itself as its issuer, and its key did not sign it
  const spare = parseCertificate(await oddCertificate(oddity), 'it');
  const again = parseCertificate(root.der, 'it');
  assert.equal(orderChain([spare, root, leaf, again]), [leaf, again, spare]);
  assert.equal(arrange([spare, root, leaf, again]), [leaf, again, spare]);
});

test('does not count a CA that was renewed under its own name towards a path length', async () => {
  const [rootKey, oldKey, newKey] = [1, 2, 3].map(() => makeKey('ed25519'));
  assert.ok(rootKey && oldKey && newKey);
  const root = await makeCa({ name: 'CN=root', key: rootKey, pathLength: 1 });
  const first = await makeCa({
    name: 'CN=ca',
    key: oldKey,
    by: { certificate: root, key: rootKey },
  });
  const by = { certificate: first, key: oldKey };
  const renewed = await makeCa({ name: 'CN=ca', key: newKey, by });
  const leaf = await makeLeaf(renewed, newKey);
  assert.is(await failureOf(() => verifyLinks([leaf, renewed, first, root])), 'no failure');
});

test('accepts two CAs that signed each other', async () => {
  const [oneKey, otherKey] = [makeKey('ec-p256'), makeKey('ec-p256')];
  const [one, other] = await Promise.all([
    makeCa({ name: 'CN=one', key: oneKey }),
    makeCa({ name: 'CN=other', key: otherKey }),
  ]);
  const oneByOther = await makeCa({
    name: 'CN=one',
    key: oneKey,
    by: { certificate: other, key: otherKey },
  });
  const otherByOne = await makeCa({
    name: 'CN=other',
    key: otherKey,
    by: { certificate: one, key: oneKey },
  });
  const leaf = await makeLeaf(one, oneKey);
  const [first, ...rest] = await handIn(otherByOne, oneByOther, leaf);
  assert.is(first, 'CN=leaf by CN=one');
  assert.equal(rest, ['CN=one by CN=other', 'CN=other by CN=one']);
});

test('accepts roots of version 1 as a bundle and at the end of a chain', async () => {
  const key = makeKey('ec-p256');
  const v1 = parseCertificate(await oddCertificate({ key, version: 1 }), 'it');
  const root = await makeCa({ name: 'CN=root', key: makeKey('ec-p256') });
  assert.equal(await handIn(root, v1), ['CN=root by CN=root', 'CN=odd by CN=odd']);
  const leaf = await makeLeaf(v1, key);
  assert.equal(await handIn(v1, leaf), ['CN=leaf by CN=odd', 'CN=odd by CN=odd']);
  using files = new Workspace();
  const trust = files.write('v1.pem', encodeCertificatesPem([v1]));
  const path = files.write('leaf.pem', encodeCertificatesPem([leaf]));
  assert.match(openssl('verify', '-CAfile', trust, path), ': OK');
  const byNobody = parseCertificate(
    await oddCertificate({ key, version: 1, issuer: nameOf('CN=root'), by: key }),
    'it',
  );
  const end = await makeLeaf(byNobody, key);
  assert.is(await failureOf(() => handIn(byNobody, end)), 'InvalidArgs');
});

test('reports why certificates are not one chain', async () => {
  const { root, middle, leaf, byMiddle } = await makeChain();
  const end = await makeLeaf(middle, byMiddle.key, 'CN=end');
  assert.throws(
    () => arrange([leaf, end, middle, root]),
    /not one chain: neither CN=leaf nor CN=end issued any of the others/,
  );
  const many = await Promise.all(
    Array.from({ length: 16 }, (_, at) => makeCa({ name: `CN=${at}`, key: makeKey('ec-p256') })),
  );
  assert.is(arrange(many).length, 16);
  const self = parseCertificate(
    await oddCertificate({ issuer: nameOf('CN=elsewhere'), by: makeKey('ec-p256') }),
    'it',
  );
  assert.throws(() => arrange([...many, self]), /there are 17, and no chain is longer than 16/);
});

test('sorts a chain of sixteen, and no longer one', async () => {
  const key = makeKey('ec-p256');
  const chain = [await makeCa({ name: 'CN=0', key })];
  while (chain.length < 17) {
    const [certificate] = chain;
    assert.ok(certificate);
    chain.unshift(await makeCa({ name: `CN=${chain.length}`, key, by: { certificate, key } }));
  }
  const longest = chain.slice(1);
  assert.equal(orderChain(longest.toReversed()), longest);
  assert.is(orderChain(chain.toReversed()), undefined);
});

test('refuses a chain longer than the path length of its root', async () => {
  const { root, middle, byMiddle } = await makeChain();
  const key = makeKey('ec-p256');
  const lower = await makeCa({ name: 'CN=lower', key, by: byMiddle });
  const by = { certificate: lower, key };
  const leaf = await makeCa({ name: 'CN=end', key: makeKey('ec-p256'), by });
  assert.is(await failureOf(() => verifyLinks([leaf, lower, middle, root])), 'InvalidArgs');
  assert.is(await failureOf(() => verifyLinks([lower, middle, root])), 'no failure');
});

test('requires the signature of an issuer, not only its name', async () => {
  const { root, middle } = await makeChain();
  const impostor = await makeCa({ name: 'CN=root', key: makeKey('ec-p256') });
  assert.is(await failureOf(() => verifyLinks([middle, impostor])), 'InvalidArgs');
  assert.is(await failureOf(() => verifyLinks([middle, root])), 'no failure');
});

/** The RSA key with the same primes and another public exponent. */
function withExponent(key: KeyObject, e: bigint): KeyObject {
  const jwk = key.export({ format: 'jwk' });
  const number = (text = ''): bigint =>
    BigInt(`0x${Buffer.from(text, 'base64url').toString('hex')}`);
  const text = (value: bigint): string => {
    const hex = value.toString(16);
    return Buffer.from(hex.padStart(hex.length + (hex.length % 2), '0'), 'hex').toString(
      'base64url',
    );
  };
  const [p, q] = [number(jwk.p), number(jwk.q)];
  const d = inverseOf(e, (p - 1n) * (q - 1n));
  const parts = { e: text(e), d: text(d), dp: text(d % (p - 1n)), dq: text(d % (q - 1n)) };
  return createPrivateKey({ key: { ...jwk, ...parts }, format: 'jwk' });
}

test('refuses an issuer with a key whose verification takes long', async () => {
  const made = makeKey('rsa-2048');
  for (const [exponent, isTaken] of [
    [0xffff_fffbn, true],
    [(1n << 61n) - 1n, false],
  ] as const) {
    const key = withExponent(made, exponent);
    const root = await makeCa({ name: 'CN=root', key });
    const leaf = await makeLeaf(root, key);
    assert.is((await failureOf(() => verifyLinks([leaf, root]))) === 'no failure', isTaken);
  }
});

/** An RSA key of exactly this many bits, with many small primes: two large ones take too long to generate. */
class ManyPrimes {
  readonly #primes: bigint[] = [];
  readonly #modulus: bigint;
  readonly #exponent = 65_537n;

  constructor(bits: number) {
    let modulus = 1n;
    const lengthOf = (value: bigint): number => value.toString(2).length;
    const add = (size: number, isWanted: (prime: bigint) => boolean): void => {
      const found = generatePrimeSync(size, { bigint: true });
      const isUsable = found % this.#exponent !== 1n && !this.#primes.includes(found);
      if (!isUsable || !isWanted(found)) return add(size, isWanted);
      this.#primes.push(found);
      modulus *= found;
    };
    while (lengthOf(modulus) < bits - 600) add(512, () => true);
    add(bits - lengthOf(modulus), (prime) => lengthOf(modulus * prime) === bits);
    this.#modulus = modulus;
  }

  get spki(): Buffer {
    const hex = this.#modulus.toString(16);
    const n = Buffer.from(hex.padStart(hex.length + (hex.length % 2), '0'), 'hex');
    const jwk = { kty: 'RSA', n: n.toString('base64url'), e: 'AQAB' };
    return spkiOf(createPublicKey({ key: jwk, format: 'jwk' }));
  }

  /** Signs according to PKCS #1 1.5, with the remainders of all primes combined. */
  readonly sign = (message: Buffer): Promise<Buffer> => {
    const info = Buffer.from('3031300d060960864801650304020105000420', 'hex');
    const digest = Buffer.concat([info, createHash('sha256').update(message).digest()]);
    const length = Math.ceil(this.#modulus.toString(2).length / 8);
    const padding = Buffer.alloc(length - digest.length - 3, 0xff);
    const parts = [Buffer.from([0, 1]), padding, Buffer.from([0]), digest];
    const value = BigInt(`0x${Buffer.concat(parts).toString('hex')}`);
    let [signature, product] = [0n, 1n];
    for (const prime of this.#primes) {
      const exponent = inverseOf(this.#exponent, prime - 1n);
      const wanted = power(value % prime, exponent, prime);
      const step = ((wanted - (signature % prime) + prime) * inverseOf(product, prime)) % prime;
      signature += product * step;
      product *= prime;
    }
    return Promise.resolve(Buffer.from(signature.toString(16).padStart(length * 2, '0'), 'hex'));
  };
}

function power(base: bigint, exponent: bigint, modulus: bigint): bigint {
  let [result, square] = [1n, base % modulus];
  for (let rest = exponent; rest > 0n; rest >>= 1n) {
    if ((rest & 1n) === 1n) result = (result * square) % modulus;
    square = (square * square) % modulus;
  }
  return result;
}

function inverseOf(value: bigint, modulus: bigint): bigint {
  let [before, inverse, left, rest] = [0n, 1n, modulus, value % modulus];
  while (rest > 1n) {
    [before, inverse] = [inverse, before - (left / rest) * inverse];
    [left, rest] = [rest, left % rest];
  }
  return ((inverse % modulus) + modulus) % modulus;
}

test('accepts issuers with RSA keys of up to 8192 bits', async () => {
  for (const [bits, isTaken] of [
    [8192, true],
    [8200, false],
  ] as const) {
    const { spki, sign } = new ManyPrimes(bits);
    const subjectDer = encodeName(parseName('CN=root'));
    const validity = { notBefore: new Date(0), notAfter: new Date('2100-01-01T00:00:00Z') };
    const content = { subjectDer, spki, validity, extensions: [basicConstraints({ ca: true })] };
    const issuer = { subjectDer, keyIdentifier: Buffer.alloc(20) };
    const der = await buildCertificate(content, issuer, { algorithm: 'rsa-pkcs1-sha256', sign });
    const root = parseCertificate(der, 'it');
    const { publicKey } = root;
    assert.ok(publicKey !== undefined && root.x509.verify(publicKey), 'OpenSSL takes both');
    assert.is(isSelfSigned(root), isTaken);
  }
});

test('encodes PKCS#7 that openssl reads, and reads it back', async () => {
  using files = new Workspace();
  const { root, middle, leaf } = await makeChain();
  const der = encodePkcs7([leaf, middle, root]);
  const path = files.write('chain.p7', der);
  const pem = openssl('pkcs7', '-inform', 'DER', '-in', path, '-print_certs');
  assert.equal(
    parseCertificatesPem(Buffer.from(pem), 'output').map(({ fingerprint }) => fingerprint),
    [leaf, middle, root].map(({ fingerprint }) => fingerprint),
  );
  assert.is(parsePkcs7(der, 'bundle').length, 3);
});

test('reads PKCS#7 of openssl, in DER and in PEM', async () => {
  using files = new Workspace();
  const { root, leaf } = await makeChain();
  const path = files.write('chain.pem', encodeCertificatesPem([leaf, root]));
  const pem = openssl('crl2pkcs7', '-nocrl', '-certfile', path);
  assert.equal(
    parsePkcs7(Buffer.from(pem), 'bundle').map(({ subjectText }) => subjectText),
    ['CN=leaf', 'CN=root'],
  );
});

test('reads PKCS#7 followed by a line end or padding, and by nothing else', async () => {
  const { root } = await makeChain();
  const der = encodePkcs7([root]);
  for (const behind of ['\r\n', '\0\0\0', '\xff\xff']) {
    const bytes = Buffer.concat([der, Buffer.from(behind, 'latin1')]);
    assert.equal(
      readCertificates(bytes, 'bundle').map(({ fingerprint }) => fingerprint),
      [root.fingerprint],
    );
  }
  const twice = Buffer.concat([der, der]);
  assert.is(await failureOf(() => parsePkcs7(twice, 'bundle')), 'InvalidArgs');
});

test('refuses truncated and empty PKCS#7', async () => {
  const { root } = await makeChain();
  const der = encodePkcs7([root]);
  for (let length = 0; length < der.length; length += 7) {
    assert.is(await failureOf(() => parsePkcs7(der.subarray(0, length), 'bundle')), 'InvalidArgs');
  }
  assert.is(await failureOf(() => parsePkcs7(encodePkcs7([]), 'bundle')), 'InvalidArgs');
});

test('renews at the fraction of its validity, up to a twentieth earlier, always at the same time', () => {
  const notBefore = new Date('2026-01-01T00:00:00Z');
  const notAfter = new Date('2026-01-31T00:00:00Z');
  const life = notAfter.getTime() - notBefore.getTime();
  const times = Array.from({ length: 50 }, (_, at) =>
    renewalTime({ notBefore, notAfter, fingerprint: String(at) }, { afterShare: 0.8 }).getTime(),
  );
  for (const time of times) {
    const fraction = (time - notBefore.getTime()) / life;
    assert.ok(fraction > 0.7499 && fraction <= 0.8);
  }
  assert.ok(new Set(times).size > 40);
  assert.equal(
    renewalTime({ notBefore, notAfter, fingerprint: '1' }, { afterShare: 0.8 }).getTime(),
    times[1],
  );
});

test.run();
