/**
 * The meanings of arguments, options and keys of results by name; one that differs in a method by `Method.name`. Their
 * values and sizes are in the checks of the tables.
 */

const time = 'Microseconds since the epoch';

/** Of org.iotedge.Keys1. */
export const keysNotes = {
  algorithms: 'In order of preference; none: `ec-p256`, `rsa-2048`.',
  algorithm: 'What the key is.',
  usages: 'What the key may be used for.',
  'CreateKeyPair.usages': 'What the pair may be used for; none: `sign`.',
  'CreateKey.usages':
    'None: the one that the algorithm has beside `derive`. With `derive` it is a base key, which is used only with `derivation`.',
  if_exists:
    'What happens when there is a key of that id: `fail`, the default; `keep` leaves one that fits.',
  'ImportKey.if_exists':
    'What happens when there is a key of that id: `fail`, the default; `keep` leaves one that fits; `replace` puts the new one in its place.',
  exportable: 'Whether ExportKey may return it; default false.',
  export_derived:
    'Whether ExportKey may return keys that are derived from this base key; default false.',
  store: 'What holds it; default as configured.',
  'ImportKey.format': '`raw` bytes of a key of `algorithm`; `pkcs8`: DER, with algorithm ``.',
  'ExportKey.format': '`raw` for symmetric keys, `pkcs8` (DER) for pairs.',
  material: 'The key.',
  key: 'The object of the key.',
  spki: 'DER.',
  mechanism: 'How it is done; it must be one of the key.',
  data: 'The message, or with `prehashed` its digest.',
  prehashed: 'Whether `data` is the digest, of exactly the length of the hash; default false.',
  signature: 'DER for ECDSA.',
  valid: 'Whether the signature is of that key and that data.',
  derivation:
    'What is derived from a base key: HMAC-SHA256 of this with it is the key that is used.',
  public_key: 'SHA-256 of the SubjectPublicKeyInfo that the key must still have.',
  'Encrypt.input': 'What is encrypted.',
  'Decrypt.input': 'What Encrypt returned.',
  output: 'In the form that Encrypt describes, or what was encrypted.',
  aad: 'Authenticated with what is encrypted; Decrypt must be given the same. For aes-256-gcm.',
  count: 'How many bytes.',
  bytes: 'Random.',
  json: 'An object.',
} as const;

/** Of org.iotedge.Certificates1. */
export const certificatesNotes = {
  csr: 'DER or PEM.',
  issuer: 'The id of the CA certificate that issues it; default as configured for the id.',
  'Enroll.issuer': 'The issuer, as Issue; default as configured for the id.',
  wait: 'Whether the reply comes when the operation has ended; default true.',
  rotate_key: 'Whether the certificate gets a new key; default as configured for the id.',
  id: 'The certificate.',
  profile: 'Its purpose; default the first that the configuration has for the id.',
  lifetime_s: 'Seconds, no more than is configured for the id, which is the default.',
  chain_pem: 'PEM, leaf first.',
  key_id: 'The key that belongs to it, `` when not known.',
  'ImportCertificate.key_id': 'The key that belongs to it; it must have its public key.',
  not_before: `${time}.`,
  not_after: `${time}.`,
  renew_at: `${time}, 0 when never.`,
  data: 'Certificates alone, in that format.',
  'ImportCertificate.format': 'How `data` is written.',
  'ExportCertificate.format': '`der` has room for the certificate alone, the others for its chain.',
  if_exists:
    'What happens when there is a certificate of that id: `fail`, the default, or `replace`.',
  certificate: 'The object of the certificate.',
  'GetTrustBundle.certificate_id': 'The id whose certificates are meant; default as configured.',
  pem: 'Certificates.',
  json: 'An object.',
} as const;

/** Of org.iotedge.Identity1. */
export const identityNotes = {
  wait: 'Whether the reply comes when the operation has ended; default true.',
  refresh: 'Whether the hub is queried; default false.',
  managed_by: 'Who manages the module, as the hub shows it.',
  usage: 'What an identity of kind `local` is for.',
  adopt: 'Whether one that other software created may be taken over; default false.',
  kind: 'What it is of.',
  'CreateModuleIdentity.kind': 'What it is of; default `module`.',
  'UpdateModuleIdentity.kind': 'What it is of; default `module`.',
  hub_hostname: 'The hub, `host[:port]`.',
  gateway_hostname: 'What to connect to in place of the hub.',
  device_id: 'The id of the device on the hub.',
  module_id: 'The id of the module, `` for the device.',
  generation_id: 'Distinguishes a module from earlier ones of the same id.',
  auth: 'How it proves itself.',
  key_id: 'The key in the Keys service that signs for it.',
  derivation: 'The option of that name with which the key is used, empty for none.',
  certificate_id: 'Its certificate, `` for none.',
  audience:
    'What the token is for: `<hub>/devices/<id>[/modules/<id>]` of the identity or below it; `` is exactly that.',
  lifetime_s: 'Seconds, 1 to 86400; 0 is 3600.',
  token: 'The shared access signature.',
  id: 'The module, `` for the device.',
  json: 'An object.',
} as const;

/** Of org.iotedge.Modules1. */
export const modulesNotes = {
  type: 'What runs it.',
  config_json:
    'For `docker` an object with `image`, `createOptions`, `auth`, `digest`, `imagePullPolicy`, and for any type `restart_policy` (`always`, `on-failure`, `on-unhealthy` or `never`; without it that of `createOptions`, else `always`), `start_after` (the names of modules that start before it) and `aliases` (further names on the network).',
  'GetConfig.config_json': 'As given to CreateModule.',
  env: 'Variables of its environment.',
  wait: 'Whether the reply comes when the operation has ended; default true.',
  keep_env:
    'Whether variables of the module that `env` does not name stay as they are; default false.',
  keep_auth:
    'Whether the credentials for the registry stay as they are when config_json has no `auth`; default false. They are kept for the same registry only.',
  timeout_s: 'Seconds that it has to stop before it is killed; default that of its engine.',
  identity: 'Whether its identity at the hub is removed, too; default false.',
  module: 'The object of the module.',
  tail: 'How many lines, from the end; -1, the default, is all.',
  since: `${time}; 0, the default, is the beginning.`,
  until: `${time}; 0, the default, is now.`,
  timestamps: 'Whether each line begins with its time; default false.',
  follow: 'Whether the lines to come are sent, too; default false.',
  path: 'Of a unix socket.',
  log: 'UTF-8.',
  os_type: 'Such as `linux`.',
  architecture: 'Such as `x86_64`.',
  version: 'Of the service.',
  server_version: 'Of the engine.',
  kernel_version: 'Of the kernel.',
  operating_system: 'The distribution.',
  cpus: 'How many.',
  total_memory: 'Bytes.',
  virtualized: 'Whether this is a virtual machine.',
  host_uptime: 'Seconds since the boot.',
  process_uptime: 'Seconds since the start of the service.',
  used_cpu: 'Percent of all processors together, since the last call.',
  used_ram: 'Bytes.',
  total_ram: 'Bytes.',
  disks:
    'Local file systems: device, available and total bytes, type of the file system, type of the device (`HDD`, `SSD` or `Unknown(-1)`).',
  modules:
    'Name, percent of one processor, bytes of memory used and its limit, bytes received and sent, bytes read and written, processes.',
  id: 'The module.',
  json: 'An object.',
} as const;
