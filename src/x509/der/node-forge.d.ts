// The modules of node-forge that are used; its own types describe the whole package only.
declare module 'node-forge/lib/asn1.js' {
  export interface ForgeElement {
    readonly tagClass: number;
    readonly type: number;
    readonly constructed: boolean;
    readonly value: string | readonly ForgeElement[];
  }

  interface Asn1 {
    create(
      tagClass: number,
      type: number,
      constructed: boolean,
      value: string | readonly ForgeElement[],
    ): ForgeElement;
    fromDer(
      bytes: string,
      options: {
        readonly strict: boolean;
        readonly parseAllBytes: boolean;
        readonly decodeBitStrings: boolean;
        readonly maxDepth: number;
      },
    ): ForgeElement;
    toDer(element: ForgeElement): { getBytes(): string };
    oidToDer(oid: string): { getBytes(): string };
    derToOid(bytes: string): string;
  }

  const asn1: Asn1;
  export default asn1;
}

declare module 'node-forge/lib/util.js' {
  export interface ByteBuffer {
    getBytes(): string;
  }

  const util: { createBuffer(bytes: string): ByteBuffer };
  export default util;
}

declare module 'node-forge/lib/rc2.js' {
  import type { ByteBuffer } from 'node-forge/lib/util.js';

  interface Rc2Cipher {
    readonly output: ByteBuffer;
    start(iv: string, output: null): void;
    update(input: ByteBuffer): void;
    /** Whether the padding is right. */
    finish(): boolean;
  }

  const rc2: { createDecryptionCipher(key: string, bits: number): Rc2Cipher };
  export default rc2;
}
