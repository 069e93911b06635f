import { keyAlgorithmOf, publicKeyOf, type SignatureAlgorithm } from '../../../x509/algorithm.ts';
import { encode, oid } from '../../../x509/der/asn1.ts';
import type { Demand } from './csr-attributes.ts';
import { isMetBy } from './key-demands.ts';

/** What a request has. */
export interface RequestFacts {
  /** The request in DER, signed or not. */
  readonly content: Buffer;
  readonly spki: Buffer;
  readonly signature: SignatureAlgorithm;
}

/** The names of those demands that a request does not fulfil. */
export function unmetBy(facts: RequestFacts, demands: readonly Demand[]): readonly string[] {
  const choice = { key: keyAlgorithmOf(publicKeyOf(facts.spki)), signature: facts.signature };
  const isMet = (demand: Demand): boolean =>
    isMetBy(choice, demand) ?? isContained(demand, facts.content);
  return demands.filter((demand) => !isMet(demand)).map(({ name }) => name);
}

function isContained({ oid: id, value }: Demand, content: Buffer): boolean {
  return content.includes(encode(oid(id))) && (value === undefined || content.includes(value));
}
