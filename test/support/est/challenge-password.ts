/** The DER of the OID of challengePassword. */
const type = Buffer.from('06092a864886f70d010907', 'hex');

/** The challengePassword of a request of less than 128 characters; undefined when there is none. */
export function challengePasswordIn(csr: Buffer): string | undefined {
  const at = csr.indexOf(type);
  if (at < 0) return undefined;
  // a SET with one string
  const start = at + type.length + 2;
  const length = csr[start + 1] ?? 0;
  return csr.subarray(start + 2, start + 2 + length).toString('latin1');
}
