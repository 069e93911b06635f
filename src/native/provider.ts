import { loadAddon } from './addon.ts';

interface ProviderAddon {
  loadProvider(): void;
  refuseSignatures(refuse: boolean): void;
}

/**
 * Loads the provider `iotedge-keys` into the OpenSSL of this process, so that `tls.createSecureContext` accepts the PEM
 * of `keyPem`. Idempotent, also across threads. Throws when it cannot be loaded.
 *
 * Signing then blocks the thread until the Keys service replies: only a worker thread may use such a context. Pass the
 * PEM to nothing else of node:crypto: Node 20 and 22 abort when they query details of such a key.
 */
export function loadProvider(): void {
  const addon = providerAddon();
  if (addon === undefined) throw new Error('iotedge_keys_provider.node is not installed');
  addon.loadProvider();
}

/** Fails signatures in progress in all threads of this process, and every later one until the result is disposed. */
export function refuseSignatures(): Disposable {
  const addon = providerAddon();
  addon?.refuseSignatures(true);
  return { [Symbol.dispose]: () => addon?.refuseSignatures(false) };
}

function providerAddon(): ProviderAddon | undefined {
  // what src/native/provider/addon.c exports
  return loadAddon('iotedge_keys_provider') as ProviderAddon | undefined;
}

const tag = { sequence: 0x30, utf8String: 0x0c, octetString: 0x04, requestId: 0xa0 } as const;

/**
 * The PEM that references a key of the Keys service: its id and its public half, nothing secret. With a request id,
 * which the Keys service logs with each signature, it is for one connection; files never contain one.
 */
export function keyPem(keyId: string, spkiDer: Uint8Array, requestId?: string): string {
  const parts = [
    element(tag.utf8String, Buffer.from(keyId)),
    element(tag.octetString, spkiDer),
    ...(requestId === undefined
      ? []
      : [element(tag.requestId, element(tag.utf8String, Buffer.from(requestId)))]),
  ];
  const der = element(tag.sequence, Buffer.concat(parts));
  const lines = der.toString('base64').match(/.{1,64}/g) ?? [];
  return ['-----BEGIN IOTEDGE KEY-----', ...lines, '-----END IOTEDGE KEY-----', ''].join('\n');
}

function element(identifier: number, content: Uint8Array): Buffer {
  return Buffer.concat([Buffer.from([identifier, ...lengthOctets(content.length)]), content]);
}

/** DER: the fewest octets. The provider accepts at most 64 KiB. */
function lengthOctets(length: number): readonly number[] {
  if (length < 0x80) return [length];
  if (length < 0x100) return [0x81, length];
  if (length < 0x10000) return [0x82, length >> 8, length & 0xff];
  throw new RangeError(`${length} bytes are not a public key`);
}
