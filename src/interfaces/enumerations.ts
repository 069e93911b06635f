/**
 * The values of the enumerations on the bus, for the interface tables, the checks of the dispatcher, messages and the
 * reference. Configurations, which may not import interfaces, repeat a few; a test compares them.
 */

export const pairAlgorithms = [
  'ec-p256',
  'ec-p384',
  'ec-p521',
  'ed25519',
  'rsa-2048',
  'rsa-3072',
  'rsa-4096',
] as const;

export const symmetricAlgorithms = ['aes-256', 'hmac-sha256'] as const;

export const pairUsages = ['sign', 'decrypt'] as const;

/** A key with `derive` is a base key. */
export const symmetricUsages = ['encrypt', 'sign', 'derive'] as const;

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

export const encryptMechanisms = ['aes-256-gcm', 'rsa-oaep-sha256'] as const;

export const materialFormats = ['raw', 'pkcs8'] as const;

export const keyStores = ['pkcs11', 'file'] as const;

export const keyKinds = ['pair', 'symmetric'] as const;

/** A `foreign` key was created in the token by another program. */
export const keyOrigins = ['generated', 'imported', 'preloaded', 'foreign'] as const;

export const keyStates = ['ok', 'damaged', 'unavailable'] as const;

export const certificateFormats = ['pem', 'der', 'pkcs7'] as const;

/** Purposes of certificates. */
export const profiles = [
  'device-identity',
  'device-ca',
  'workload-ca',
  'server',
  'client',
] as const;

export const certificateMethods = [
  'none',
  'self_signed',
  'local_ca',
  'est',
  'command',
  'external',
] as const;

export const certificateStates = [
  'pending',
  'valid',
  'not-yet-valid',
  'renewing',
  'stuck',
  'expired',
  'damaged',
] as const;

export const healths = ['ok', 'degraded'] as const;

export const identityKinds = ['device', 'module', 'local'] as const;

/** How an identity authenticates; `` for one on the hub that cannot yet. */
export const identityAuths = ['sas', 'x509', 'tpm', ''] as const;

/** `` when none is configured. */
export const provisioningSources = ['dps', ''] as const;

/** How a device authenticates to the provisioning service; `` when none is configured. */
export const attestations = ['x509', ''] as const;

export const provisioningStates = [
  'unprovisioned',
  'provisioning',
  'provisioned',
  'failed',
] as const;

/** The kind of engine that runs a module. */
export const moduleTypes = ['docker', 'systemd'] as const;

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

export const yesNoUnknown = ['yes', 'no', 'unknown'] as const;
