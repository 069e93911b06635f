import { isUtf8, transcode } from 'node:buffer';
import { ServiceError } from '../../errors.ts';

/** A password in the encodings of PKCS#12; wiped when disposed, the octets that it was made of apart. */
export class EncodedPassword implements Disposable {
  /** For PBES2. */
  readonly utf8: Buffer;
  /** For the key derivation of PKCS#12. Without a password programs write the empty one, or none at all. */
  readonly utf16: readonly [Buffer, ...Buffer[]];

  /** InvalidArgs for octets that are not UTF-8. */
  constructor(utf8: Buffer) {
    if (!isUtf8(utf8)) throw new ServiceError('InvalidArgs', 'the password is not UTF-8');
    this.utf8 = utf8;
    const units = transcode(utf8, 'utf8', 'utf16le').swap16();
    const terminated = Buffer.concat([units, Buffer.alloc(2)]);
    units.fill(0);
    this.utf16 = utf8.length === 0 ? [terminated, Buffer.alloc(0)] : [terminated];
  }

  [Symbol.dispose](): void {
    for (const form of this.utf16) form.fill(0);
  }
}

/** The failure of a password that opens nothing; a damaged file looks the same. */
export function wrongPassword(): ServiceError {
  return new ServiceError('InvalidArgs', 'the password is wrong, or the file is damaged');
}
