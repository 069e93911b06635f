import { ServiceError } from '../../errors.ts';
import { keyAlgorithmOf, publicKeyOf } from '../../x509/algorithm.ts';
import { parseCertificate } from '../../x509/certificate.ts';
import { buildCertificate, validityWithin } from '../../x509/certificate-builder.ts';
import { keyIdentifier } from '../../x509/extensions.ts';
import { issuedExtensions } from './issued-extensions.ts';
import type { Answer, Issuer, Order } from './issuer.ts';
import { defaultLifetimeS } from './policy.ts';
import { rightsOf } from './profile.ts';

/** The last time that a certificate can state (RFC 5280 4.1.2.5). */
const endOfTime = new Date('9999-12-31T23:59:59Z');

/** Issues certificates that are signed with their own keys. */
export class SelfSignedIssuer implements Issuer {
  async submit(order: Order): Promise<Answer> {
    const { subjectDer, lifetimeS = defaultLifetimeS, now } = order;
    const { spki, signer } = order.key;
    if (signer === undefined) {
      throw new ServiceError('NotSupported', 'only the holder of a key can sign for itself');
    }
    const rights = rightsOf(order.profile, keyAlgorithmOf(publicKeyOf(spki)));
    const ever = { notBefore: new Date(0), notAfter: endOfTime };
    const der = await buildCertificate(
      {
        subjectDer,
        spki,
        validity: validityWithin(ever, { now, lifetimeMs: lifetimeS * 1000 }),
        extensions: issuedExtensions(order, rights, Number.POSITIVE_INFINITY),
      },
      { subjectDer, keyIdentifier: keyIdentifier(spki) },
      signer,
    );
    return { kind: 'issued', chain: [parseCertificate(der, 'the new certificate')] };
  }
}
