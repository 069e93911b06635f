import { createCipheriv, createDecipheriv, type KeyObject } from 'node:crypto';
import type { CipherRequest } from '../store.ts';

const tagBytes = 16;

/** Ciphertext and tag of AES-256-GCM. */
export function seal(key: KeyObject | Buffer, plain: Buffer, request: CipherRequest): Buffer {
  const cipher = createCipheriv('aes-256-gcm', key, request.nonce, { authTagLength: tagBytes });
  cipher.setAAD(request.aad);
  return Buffer.concat([cipher.update(plain), cipher.final(), cipher.getAuthTag()]);
}

/** The plaintext of ciphertext and tag; undefined when the tag is not theirs. */
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
    // the only failure of final() here is a tag that does not fit
    plain.fill(0);
    return undefined;
  }
}
