/**
 * The values of the enumerations on the bus. Each is stated here alone: the tables, the checks that the dispatcher
 * makes of them, parsers, messages and the reference take it from here.
 */

/** What a key pair can be. */
export const pairAlgorithms = [
  'ec-p256',
  'ec-p384',
  'ec-p521',
  'ed25519',
  'rsa-2048',
  'rsa-3072',
  'rsa-4096',
] as const;

/** What a symmetric key can be. */
export const symmetricAlgorithms = ['aes-256', 'hmac-sha256'] as const;

/** What a key pair can be used for. */
export const pairUsages = ['sign', 'decrypt'] as const;

/** What a symmetric key can be used for; `derive` makes it a base key. */
export const symmetricUsages = ['encrypt', 'sign', 'derive'] as const;

/** How a signature is made. */
export const signMechanisms = [
  'ecdsa-sha256',
  'ecdsa-sha384',
  'ecdsa-sha512',
  'rsa-pkcs1-sha256',
  'rsa-pkcs1-sha384',
  'rsa-pkcs1-sha512',
  'rsa-pss-sha256',
  'rsa-pss-sha384',
  'rsa-pss-sha512',
  'ed25519',
  'hmac-sha256',
] as const;

/** How data is encrypted. */
export const encryptMechanisms = ['aes-256-gcm', 'rsa-oaep-sha256'] as const;

/** How key material is written. */
export const materialFormats = ['raw', 'pkcs8'] as const;

/** Where keys are held. */
export const keyStores = ['pkcs11', 'file'] as const;

/** What kind of key there is. */
export const keyKinds = ['pair', 'symmetric'] as const;

/** Where a key comes from. */
export const keyOrigins = ['generated', 'imported', 'preloaded', 'foreign'] as const;

/** How a key is. */
export const keyStates = ['ok', 'damaged', 'unavailable'] as const;

/** How certificates are written. */
export const certificateFormats = ['pem', 'der', 'pkcs7'] as const;

/** What a certificate is for. */
export const profiles = [
  'device-identity',
  'device-ca',
  'workload-ca',
  'server',
  'client',
] as const;

/** How a certificate is issued. */
export const certificateMethods = [
  'none',
  'self_signed',
  'local_ca',
  'est',
  'command',
  'external',
] as const;

/** How a certificate is. */
export const certificateStates = [
  'pending',
  'valid',
  'not-yet-valid',
  'renewing',
  'stuck',
  'expired',
  'damaged',
] as const;

/** How a service is. */
export const healths = ['ok', 'degraded'] as const;

/** What an identity is of. */
export const identityKinds = ['device', 'module', 'local'] as const;

/** How an identity proves itself; `` where the hub has one that cannot yet. */
export const identityAuths = ['sas', 'x509', 'tpm', ''] as const;

/** Where the identity of a device comes from; `` where nothing is configured. */
export const provisioningSources = ['dps', ''] as const;

/** How a device proves itself to what provisions it; `` where nothing is configured. */
export const attestations = ['x509', ''] as const;

/** How the provisioning of the device stands. */
export const provisioningStates = [
  'unprovisioned',
  'provisioning',
  'provisioned',
  'failed',
] as const;

/** What runs a module. */
export const moduleTypes = ['docker', 'systemd'] as const;

/** How a module is. */
export const moduleStates = [
  'created',
  'pulling',
  'starting',
  'running',
  'stopping',
  'stopped',
  'failed',
  'backoff',
  'unknown',
] as const;

/** What is so, is not so, or cannot be told. */
export const yesNoUnknown = ['yes', 'no', 'unknown'] as const;
