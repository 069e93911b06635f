import type { Via } from '../../dbus/client/via.ts';
import type { CertificateId } from '../../ids.ts';
import type { KeyAlgorithm, SignatureAlgorithm, Signer } from '../../x509/algorithm.ts';
import type { Certificate } from '../../x509/certificate.ts';
import type { SubjectAlternativeName } from '../../x509/subject-alternative-name.ts';
import type { Profile } from '../config/certificate-rule.ts';

/** The key that a certificate is ordered for. */
export interface OrderKey {
  /** `` when the key is that of a CSR which a caller of Issue has signed. */
  readonly keyId: string;
  readonly spki: Buffer;
  /** Of this key, where it is known. */
  readonly algorithm?: KeyAlgorithm;
  /** Undefined when the key is that of a CSR which a caller of Issue has signed. */
  readonly signer: Signer | undefined;
  /** A signer with another algorithm; NotSupported when it signs where the key cannot be used so. */
  readonly signerWith?: (algorithm: SignatureAlgorithm) => Signer;
  /** The algorithms of which one may be that of another key in place of this one; none when it has to stay. */
  readonly alternatives?: readonly KeyAlgorithm[];
}

/** A certificate to be issued: the same at every attempt, except for `cookie` and `now`. */
export interface Order {
  readonly id: CertificateId;
  readonly profile: Profile;
  /** Undefined: the issuer decides. */
  readonly lifetimeS: number | undefined;
  /** As the rule states it, or the octets of the certificate that is renewed. */
  readonly subjectDer: Buffer;
  readonly names: readonly SubjectAlternativeName[];
  readonly key: OrderKey;
  /**
   * PKCS#10 in DER, the same octets at each attempt; for an issuer that signs it on a connection only what it signs, the
   * CertificationRequestInfo.
   */
  readonly request: Buffer;
  /** Of the last `pending`. */
  readonly cookie: string | undefined;
  /** The current certificate, when this is a renewal. */
  readonly renewed: { readonly chain: readonly Certificate[]; readonly keyId: string } | undefined;
  readonly now: Date;
}

/** An order whose key is still to be made. */
export type KeylessOrder = Omit<Order, 'key' | 'request' | 'cookie'>;

/** What an issuer wants of the key of an order. */
export type Preparation =
  | {
      readonly kind: 'prepared';
      /** Those that are as good as any for it; empty when it does not matter. */
      readonly algorithms: readonly KeyAlgorithm[];
    }
  | Extract<Answer, { kind: 'rejected' }>;

/** The result of submitting an order. */
export type Answer =
  | { readonly kind: 'issued'; readonly chain: readonly Certificate[] }
  | {
      readonly kind: 'pending';
      readonly cookie: string;
      /** Undefined: the issuer does not say when to ask again. */
      readonly retryAfterS: number | undefined;
    }
  | {
      readonly kind: 'rejected';
      readonly reason: string;
      /** Whether repeating the order is useless until its settings change. */
      readonly isFinal: boolean;
      /** Whether this ends what is pending, so that the next attempt submits the order anew. */
      readonly isDecided?: boolean;
      readonly retryAfterS: number | undefined;
    }
  | {
      /** The issuer wants an order with another key. */
      readonly kind: 'rekey';
      readonly reason: string;
      /** The algorithms of which its key should be one. */
      readonly algorithms?: readonly KeyAlgorithm[];
    };

/** A source of certificates. */
export interface Issuer {
  /** Submits an order, or asks again for one that is pending; Unavailable when the issuer cannot be reached now. */
  submit(order: Order, via: Via): Promise<Answer>;
  /** Learns what the issuer wants before a key is made, where it may want one of several; Unavailable as `submit`. */
  prepare?(order: KeylessOrder, allowed: readonly KeyAlgorithm[], via: Via): Promise<Preparation>;
}
