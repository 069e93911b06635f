// The one module of node-forge that is used; its own types describe the whole package only.
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
