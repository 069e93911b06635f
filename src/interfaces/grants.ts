/**
 * The access of the four services to one another's objects, granted by every authorization backend without polkit. Each
 * additional grant extends what a compromised service can reach.
 */

/** One grant. A detail without an entry in `match` may have any value, except those of `guardedDetails`. */
export interface Grant {
  readonly user: string;
  /** A glob on the action. */
  readonly action: string;
  /** Globs by detail. A glob on an id covers the `@<n>` that rotation appends. */
  readonly match: Readonly<Record<string, string>>;
}

/** Details that are ids of keys and certificates; `iotedge/` is the prefix of the services' own ids. */
export const idDetails: readonly string[] = ['key_id', 'certificate_id', 'issuer'];

const isNotReserved = (id: string): boolean => !id.startsWith('iotedge/');

/**
 * Details that must have a harmless value unless a rule names them: not elevated, no CA, no derived key, no adoption,
 * and not an id of the services' own.
 */
export const guardedDetails: Readonly<Record<string, (value: string) => boolean>> = {
  elevated: (value) => value === '' || value === 'false',
  profile: (value) => !value.endsWith('-ca'),
  derivation: (value) => value === '',
  adopt: (value) => value === '' || value === 'false',
  key_id: isNotReserved,
  certificate_id: isNotReserved,
  issuer: isNotReserved,
};

const certificateKeys = { key_id: 'iotedge/certificate/*' };
const moduleKeys = { key_id: 'iotedge/module-identities' };
const issuedIdentityKey = { key_id: 'iotedge/certificate/iotedge/device-identity' };

/** The services' own ids, and the two that nearly every configuration uses: `device-id` and `device-ca`. */
export const grants: readonly Grant[] = [
  {
    user: 'iotedge-certificates',
    action: 'org.iotedge.keys1.sign',
    match: { key_id: 'device-ca' },
  },
  {
    user: 'iotedge-certificates',
    action: 'org.iotedge.keys1.create',
    match: { ...certificateKeys, usages: 'sign', exportable: 'false' },
  },
  { user: 'iotedge-certificates', action: 'org.iotedge.keys1.sign', match: certificateKeys },
  { user: 'iotedge-certificates', action: 'org.iotedge.keys1.delete', match: certificateKeys },
  { user: 'iotedge-identity', action: 'org.iotedge.keys1.sign', match: { key_id: 'device-id' } },
  { user: 'iotedge-identity', action: 'org.iotedge.keys1.create', match: moduleKeys },
  {
    user: 'iotedge-identity',
    action: 'org.iotedge.keys1.sign',
    match: { ...moduleKeys, derivation: '?*' },
  },
  {
    user: 'iotedge-identity',
    action: 'org.iotedge.keys1.export',
    match: { ...moduleKeys, derivation: '?*' },
  },
  {
    user: 'iotedge-identity',
    action: 'org.iotedge.keys1.create',
    match: { ...issuedIdentityKey, usages: 'sign', exportable: 'false' },
  },
  { user: 'iotedge-identity', action: 'org.iotedge.keys1.sign', match: issuedIdentityKey },
  {
    user: 'iotedge-identity',
    action: 'org.iotedge.certificates1.import',
    match: { certificate_id: 'iotedge/device-identity' },
  },
  {
    user: 'iotedge-modules',
    action: 'org.iotedge.keys1.sign',
    match: { ...moduleKeys, derivation: '?*' },
  },
  {
    user: 'iotedge-modules',
    action: 'org.iotedge.keys1.create',
    match: { key_id: 'iotedge/module-encryption' },
  },
  {
    user: 'iotedge-modules',
    action: 'org.iotedge.keys1.encrypt',
    match: { key_id: 'iotedge/module-encryption' },
  },
  {
    user: 'iotedge-modules',
    action: 'org.iotedge.keys1.decrypt',
    match: { key_id: 'iotedge/module-encryption' },
  },
  {
    user: 'iotedge-modules',
    action: 'org.iotedge.certificates1.issue',
    match: { certificate_id: 'iotedge/module/*' },
  },
  {
    user: 'iotedge-modules',
    action: 'org.iotedge.certificates1.issue',
    match: { certificate_id: 'iotedge/module/*', issuer: 'iotedge/workload-ca' },
  },
  {
    user: 'iotedge-modules',
    action: 'org.iotedge.certificates1.issue-ca',
    match: { certificate_id: 'iotedge/workload-ca', profile: 'workload-ca' },
  },
  { user: 'iotedge-modules', action: 'org.iotedge.identity1.provision', match: {} },
  {
    user: 'iotedge-modules',
    action: 'org.iotedge.identity1.manage',
    match: { module_id: '*', adopt: '*' },
  },
];

/** What an administrator does so that a service may do something with a key. */
export function grantAdvice(user: string, actions: readonly string[], keyId: string): string {
  const list = actions.map((action) => `'${action}'`).join(', ');
  return `add to grants of keys.yaml the line - {user: '${user}', actions: [${list}], match: {key_id: '${keyId}'}}`;
}
