import * as assert from 'node:assert/strict';
import {
  createECDH,
  createHash,
  createHmac,
  createPublicKey,
  diffieHellman,
  generateKeyPairSync,
  randomBytes,
  sign,
  verify,
  webcrypto,
} from 'node:crypto';
import { Worker } from 'node:worker_threads';
import { loadProvider } from '../../../src/native/provider.ts';

/** Cryptography without the Keys service, in a process with its provider loaded. Exits with 0 when every check passes. */
async function main(): Promise<void> {
  loadProvider();
  loadProvider();
  signAndVerify();
  agree();
  await useWebCrypto();
  assert.equal(createHash('sha256').update('x').digest().length, 32);
  assert.equal(createHmac('sha512', randomBytes(8)).update('x').digest().length, 64);
  await loadInThread();
  signAndVerify();
}

function signAndVerify(): void {
  const pairs = [
    generateKeyPairSync('rsa', { modulusLength: 2048 }),
    generateKeyPairSync('ec', { namedCurve: 'P-256' }),
    generateKeyPairSync('ec', { namedCurve: 'secp256k1' }),
    generateKeyPairSync('ed25519'),
  ];
  for (const { privateKey, publicKey } of pairs) {
    const algorithm = privateKey.asymmetricKeyType === 'ed25519' ? null : 'sha1';
    const signature = sign(algorithm, Buffer.from('x'), privateKey);
    assert.ok(verify(algorithm, Buffer.from('x'), publicKey, signature));
    const again = createPublicKey(privateKey.export({ type: 'pkcs8', format: 'pem' }));
    assert.ok(verify(algorithm, Buffer.from('x'), again, signature));
    assert.ok(privateKey.asymmetricKeyDetails);
  }
}

function agree(): void {
  const [a, b] = [createECDH('prime256v1'), createECDH('prime256v1')];
  const [publicA, publicB] = [a.generateKeys(), b.generateKeys()];
  assert.deepEqual(a.computeSecret(publicB), b.computeSecret(publicA));
  const { privateKey, publicKey } = generateKeyPairSync('x25519');
  assert.equal(diffieHellman({ privateKey, publicKey }).length, 32);
}

async function useWebCrypto(): Promise<void> {
  const { subtle } = webcrypto;
  const algorithm = { name: 'ECDSA', namedCurve: 'P-384', hash: 'SHA-384' };
  const pair = await subtle.generateKey(algorithm, true, ['sign', 'verify']);
  assert.ok('privateKey' in pair);
  const signature = await subtle.sign(algorithm, pair.privateKey, Buffer.from('x'));
  assert.ok(await subtle.verify(algorithm, pair.publicKey, signature, Buffer.from('x')));
  assert.ok((await subtle.exportKey('jwk', pair.privateKey)).d);
}

function loadInThread(): Promise<void> {
  const provider = new URL('../../../src/native/provider.js', import.meta.url).href;
  const program = `import(${JSON.stringify(provider)}).then(({ loadProvider }) => loadProvider())`;
  const worker = new Worker(program, { eval: true });
  return new Promise((resolve, reject) => {
    worker.once('error', reject);
    worker.once('exit', (code) => (code === 0 ? resolve() : reject(new Error(`exit ${code}`))));
  });
}

void main().catch((error: unknown) => {
  console.error(error);
  process.exitCode = 1;
});
