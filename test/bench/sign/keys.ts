/** A key that signs in the bench. */
export interface SigningKey {
  /** Its id in the Keys service. */
  readonly id: string;
  readonly mechanism: string;
  /** Its label in the token; undefined for a key in a file. */
  readonly label?: string;
  /** The signatures of one measurement. */
  readonly count: number;
}

/** The keys by their names in the results. */
export const signingKeys = {
  'P-256': { id: 'device-id', mechanism: 'ecdsa-sha256', label: 'device id', count: 4000 },
  'RSA-2048': { id: 'device-ca', mechanism: 'rsa-pkcs1-sha256', label: 'device ca', count: 800 },
  HMAC: { id: 'bench-mac', mechanism: 'hmac-sha256', label: 'bench-mac', count: 4000 },
  'HMAC in a file': { id: 'bench-file', mechanism: 'hmac-sha256', count: 4000 },
} as const satisfies Readonly<Record<string, SigningKey>>;
