import { createCipheriv, createDecipheriv, type KeyObject } from 'node:crypto';
import type { CipherRequest } from '../store.ts';

const tagBytes = 16;

/** Encrypts with AES-256-GCM; returns ciphertext and tag. */
export function seal(key: KeyObject | Buffer, plain: Buffer, request: CipherRequest): Buffer {
  const cipher = createCipheriv('aes-256-gcm', key, request.nonce, { authTagLength: tagBytes });
  cipher.setAAD(request.aad);
  return Buffer.concat([cipher.update(plain), cipher.final(), cipher.getAuthTag()]);
}

/** Decrypts ciphertext and tag; undefined when the tag does not match. */
export function unseal(
  key: KeyObject | Buffer,
  sealed: Buffer,
  request: CipherRequest,
): Buffer | undefined {
  if (sealed.length < tagBytes) return undefined;
  const tagAt = sealed.length - tagBytes;
  const decipher = createDecipheriv('aes-256-gcm', key, request.nonce, {
    authTagLength: tagBytes,
  });
  decipher.setAAD(request.aad);
  decipher.setAuthTag(sealed.subarray(tagAt));
  const plain = decipher.update(sealed.subarray(0, tagAt));
  try {
    decipher.final();
    return plain;
  } catch {
    // final() fails only when the tag does not match
    plain.fill(0);
    return undefined;
  }
}
