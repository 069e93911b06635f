/** The enforcement of csrattrs by libest: every OID of the list has to be somewhere in the request. */
import { encode, oid as encodeOid } from '../../../src/x509/der/asn1.ts';

/** The OIDs of signature algorithms with a hash, which stand for the hash. */
const withHash: ReadonlyMap<string, readonly string[]> = new Map([
  ['2.16.840.1.101.3.4.2.1', ['1.2.840.10045.4.3.2', '1.2.840.113549.1.1.11']],
  ['2.16.840.1.101.3.4.2.2', ['1.2.840.10045.4.3.3', '1.2.840.113549.1.1.12']],
  ['2.16.840.1.101.3.4.2.3', ['1.2.840.10045.4.3.4', '1.2.840.113549.1.1.13']],
]);

/** Whether a request contains all of these OIDs. */
export function containsAll(csr: Buffer, oids: readonly string[]): boolean {
  return oids.every((wanted) =>
    [wanted, ...(withHash.get(wanted) ?? [])].some((one) => csr.includes(encode(encodeOid(one)))),
  );
}
