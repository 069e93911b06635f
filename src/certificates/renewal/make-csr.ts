import type { Via } from '../../dbus/client/via.ts';
import { ServiceError } from '../../errors.ts';
import { keyAlgorithmOf, publicKeyOf } from '../../x509/algorithm.ts';
import { buildCsr } from '../../x509/csr.ts';
import { subjectAlternativeName } from '../../x509/extensions.ts';
import type { OrderKeys } from '../keys/keys-client.ts';
import type { OrderRule } from './order-rule.ts';

/**
 * The CSR of an order and the public half of its key, which is created unless it exists. NotFound when a key that is not
 * made here is missing, InvalidArgs when the rule does not allow one of its kind.
 */
export async function makeCsr(
  { keyAlgorithms, names, subject }: OrderRule,
  { keyId, isMade }: { readonly keyId: string; readonly isMade: boolean },
  { keys, via }: { readonly keys: OrderKeys; readonly via: Via },
): Promise<{ readonly csr: Buffer; readonly spki: Buffer }> {
  if (isMade) await keys.createPair(keyId, keyAlgorithms, via);
  const spki = await keys.publicKey(keyId, via);
  if (spki === undefined) throw new ServiceError('NotFound', `no key "${keyId}"`);
  const algorithm = keyAlgorithmOf(publicKeyOf(spki));
  if (keyAlgorithms.length > 0 && !keyAlgorithms.includes(algorithm)) {
    const text = `the key "${keyId}" is ${algorithm}, which key_algorithms does not list`;
    throw new ServiceError('InvalidArgs', text);
  }
  const extensions = names.length === 0 ? [] : [subjectAlternativeName(names)];
  const signer = keys.signer(keyId, spki, via);
  return { spki, csr: await buildCsr({ subject, spki, extensions, signer }) };
}
