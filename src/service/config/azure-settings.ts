/**
 * The settings of Azure IoT Edge 1.x and its identity service (config.yaml, config.toml and the files of their
 * daemons), and their equivalents here for users who migrate.
 */

/** Beginning of the texts for settings without an equivalent. */
const none = 'there is none';

const elsewhere = {
  keys: (setting: string) => `${setting} of keys.yaml`,
  certificates: (setting: string) => `${setting} of certificates.yaml`,
  identity: (setting: string) => `${setting} of identity.yaml`,
  modules: (setting: string) => `${setting} of modules.yaml`,
} as const;

const { keys, certificates, identity, modules } = elsewhere;

const dbus = 'there is none: the services are reached on D-Bus';
const rules = `authorization.acl, or grants for another of the four services`;
const noManual = `there is none: the device is provisioned with ${identity('provisioning.source')} dps`;
const issuing = `${certificates('certificates and issuers')}, by ids`;
const deviceCa = modules('certificates.device_ca_cert and device_ca_pk');
const publicHub = 'there is none: the device talks to the hub that it is provisioned with';

/** The equivalent of each setting, by its key alone, or with its parent's key where that matters. */
const settings: Readonly<Record<string, string>> = {
  additional_info: 'there is none',
  agent: modules('agent'),
  'agent.image': 'agent.config.image',
  'agent.image_pull_policy': 'agent.config.imagePullPolicy',
  'agent.imagePullPolicy': 'agent.config.imagePullPolicy',
  'agent.createOptions': 'agent.config.createOptions',
  'config.env': 'agent.env',
  'config.create_options': 'createOptions',
  'config.image_hash': 'digest',
  'config.imageHash': 'digest',
  allow_elevated_docker_permissions: modules('allow_elevated'),
  always_reprovision_on_startup: 'there is none: iotedgectl and Reprovision of Identity1 do that',
  dynamic_reprovisioning: 'there is none: Reprovision of Identity1 does that',
  auto_reprovisioning_mode: 'there is none: Reprovision of Identity1 does that',
  attestation: identity('provisioning.attestation'),
  'attestation.registration_id': 'provisioning.registration_id',
  'attestation.symmetric_key':
    'there is none: the device proves itself by a certificate (method x509)',
  'attestation.trust_bundle_cert': certificates("'preloaded_cert:trusted-ca'"),
  authentication: noManual,
  auto_generated_ca_lifetime_days: certificates('certificates.<id>.lifetime'),
  aziot_certs: certificates('the settings'),
  aziot_identity: identity('the settings'),
  aziot_keys: keys('pkcs11_lib_path and pkcs11_base_slot'),
  aziot_keyd: dbus,
  aziot_certd: dbus,
  aziot_identityd: dbus,
  aziot_tpmd: dbus,
  cert_issuance: issuing,
  issuance: issuing,
  est: certificates('issuers'),
  cloud_retries: 'there is none: what fails is tried again',
  cloud_timeout_sec: identity('cloud.timeout_s'),
  connection_string: noManual,
  content_trust: 'there is none',
  device_ca_cert: modules('certificates.device_ca_cert'),
  device_ca_pk: modules('certificates.device_ca_pk'),
  device_connection_string: noManual,
  device_id: noManual,
  device_id_pk: identity('provisioning.attestation.identity_pk'),
  edge_ca: deviceCa,
  endpoints: dbus,
  global_endpoint: identity('provisioning.global_endpoint'),
  homedir_path: 'homedir_path',
  hostname: modules('hostname'),
  hub: publicHub,
  id_scope: 'scope_id',
  identity_cert: identity('provisioning.attestation.identity_cert'),
  identity_pk: identity('provisioning.attestation.identity_pk'),
  image_garbage_collection: 'there is none',
  iothub_hostname: publicHub,
  iotedge_max_requests: dbus,
  max_requests: dbus,
  min_tls_version: 'there is none: the APIs are unix sockets',
  listen: modules('listen'),
  connect: modules('connect'),
  local_gateway_hostname: identity('provisioning.gateway_hostname'),
  localid: `${identity('principals')} for local users`,
  moby_runtime: modules('moby_runtime'),
  'moby_runtime.network': modules('network'),
  parent_hostname: identity('provisioning.gateway_hostname'),
  payload: 'there is none',
  pkcs11_base_slot: keys('pkcs11_base_slot'),
  pkcs11_lib_path: keys('pkcs11_lib_path'),
  prefer_module_identity_cache: 'there is none: identities are saved',
  preloaded_certs: `${certificates("'preloaded_cert:<id>'")}, one for each`,
  preloaded_keys: `${keys("'preloaded_key:<id>'")}, one for each`,
  principal: `${rules}; ${identity('principals')} for local identities`,
  provisioning: identity('provisioning'),
  proxy: identity('cloud.proxy'),
  registration_id: identity('provisioning.registration_id'),
  scope_id: identity('provisioning.scope_id'),
  symmetric_key: 'there is none: the device proves itself by a certificate (method x509)',
  tpm: 'there is none: a TPM is a token of keys.yaml, through its PKCS#11 library',
  trust_bundle_cert: certificates("'preloaded_cert:trusted-ca'"),
  trusted_ca_certs: modules('certificates.trusted_ca_certs'),
  trusted_certs: modules('certificates.trusted_ca_certs'),
  watchdog: 'there is none: the agent is restarted by its restart_policy',
};

/** The hint for a setting of Azure's, by its path and key; undefined for any other setting. */
export function azureSetting(path: readonly (string | number)[], key: string): string | undefined {
  const above = path.findLast((step) => typeof step === 'string');
  const own = (name: string): string | undefined =>
    Object.hasOwn(settings, name) ? settings[name] : undefined;
  const known = own(`${String(above)}.${key}`) ?? own(key);
  if (known === undefined || !known.startsWith(none)) return known && `here it is ${known}`;
  return `Azure's setting has none here that corresponds${known.slice(none.length)}`;
}
