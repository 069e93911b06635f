/** The MAC of a PKCS#12 file (RFC 7292 4). */
import { createHmac, timingSafeEqual } from 'node:crypto';
import { ServiceError } from '../../errors.ts';
import type { Tlv } from '../der/tlv.ts';
import { membersOf, numberOf, octetsOf, oidOf } from './elements.ts';
import { hashOf } from './hashes.ts';
import type { IterationBudget } from './iterations.ts';
import { type Derivation, deriveKey, digestsFor, purposes } from './key-derivation.ts';
import { type EncodedPassword, wrongPassword } from './password.ts';

/** What a MAC is computed with. */
export type MacParameters = Pick<Derivation, 'hash' | 'salt' | 'iterations'>;

/** The MAC of content under one form of a password. */
export function macOf(content: Buffer, password: Buffer, parameters: MacParameters): Buffer {
  const { hash } = parameters;
  const key = deriveKey({
    ...parameters,
    password,
    purpose: purposes.mac,
    length: hash.digestBytes,
  });
  try {
    return createHmac(hash.name, key).update(content).digest();
  } finally {
    key.fill(0);
  }
}

/** The form of the password that the MAC was computed with; InvalidArgs when it was another password. */
export function verifiedForm(
  macData: Tlv,
  content: Buffer,
  { password, budget }: { readonly password: EncodedPassword; readonly budget: IterationBudget },
): Buffer {
  const [digestInfo, salt, count] = membersOf(macData);
  const [algorithm, expected] = membersOf(digestInfo);
  const [identifier] = membersOf(algorithm);
  const oid = oidOf(identifier);
  const hash = hashOf(oid);
  if (hash === undefined) {
    throw new ServiceError('InvalidArgs', `its MAC algorithm ${oid} is not supported`);
  }
  const iterations = count === undefined ? 1 : numberOf(count);
  const parameters = { hash, salt: octetsOf(salt), iterations };
  const found = password.utf16.find((form) => {
    budget.take(iterations, digestsFor({ hash, length: hash.digestBytes }));
    return isEqual(macOf(content, form, parameters), octetsOf(expected));
  });
  if (found === undefined) throw wrongPassword();
  return found;
}

function isEqual(one: Buffer, other: Buffer): boolean {
  return one.length === other.length && timingSafeEqual(one, other);
}
