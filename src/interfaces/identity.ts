import { defineInterface, defineService, type Fields } from '../dbus/definition.ts';
import {
  describe,
  longErrors,
  managerProperties,
  operationInProgress,
  operationProperty,
  waitOption,
} from './common.ts';
import {
  attestations,
  identityAuths,
  identityKinds,
  provisioningSources,
  provisioningStates,
} from './enumerations.ts';
import { identityNotes } from './notes.ts';

const moduleId = { module_id: 'module-id' } as const;
/** Options are checked before authorization, so that polkit only receives texts of limited size. */
const manageCheck = {
  ...moduleId,
  kind: { oneOf: identityKinds },
  managed_by: { maxBytes: 128 },
  usage: { maxBytes: 64 },
} as const;
const manage = { action: 'org.iotedge.identity1.manage', details: ['module_id', 'adopt'] } as const;
const manageById = {
  action: 'org.iotedge.identity1.manage',
  details: { module_id: 'id', adopt: 'adopt' },
} as const;
const provision = { action: 'org.iotedge.identity1.provision', details: [] } as const;

const values = { kind: identityKinds, auth: identityAuths } as const;
const NotProvisioned = 'the device has no identity';
const Unavailable = 'the cloud, or a service that is needed, cannot be reached or refuses for now';
const cloudErrors = { NotProvisioned, Unavailable } as const;
const savedErrors = {
  NotProvisioned,
  Unavailable: 'what was saved cannot be read now',
} as const;

/** An identity as methods return it; members that do not apply are ``. */
export const identityRecord = {
  kind: 's',
  hub_hostname: 's',
  gateway_hostname: 's',
  device_id: 's',
  module_id: 's',
  generation_id: 's',
  auth: 's',
  key_id: 's',
  derivation: 'ay',
  certificate_id: 's',
} as const satisfies Fields;

/** The manager object of the Identity service. */
export const identityInterface = defineInterface({
  name: 'org.iotedge.Identity1',
  doc: 'Provisions the device with the cloud and gives its modules their identities.',
  notes: identityNotes,
  methods: {
    Provision: {
      doc: 'Provisions the device; returns the saved result when there is one.',
      long: true,
      options: waitOption,
      out: { device: 'a{sv}' },
      records: { device: identityRecord },
      values,
      authorize: provision,
      errors: {
        ...longErrors,
        ...cloudErrors,
        NotFound: 'there is no certificate or key of the id that identity.yaml names',
      },
    },
    Reprovision: {
      doc: 'Asks the provisioning service again; the saved result stays until there is a new one.',
      long: true,
      options: waitOption,
      out: { device: 'a{sv}' },
      records: { device: identityRecord },
      values,
      authorize: provision,
      errors: {
        ...longErrors,
        ...cloudErrors,
        NotFound: 'there is no certificate or key of the id that identity.yaml names',
      },
    },
    GetDeviceIdentity: {
      doc: 'The identity of the device, from saved state; NotProvisioned when there is none.',
      reads: true,
      out: { identity: 'a{sv}' },
      records: { identity: identityRecord },
      values,
      authorize: 'public',
      errors: savedErrors,
    },
    GetCallerIdentity: {
      doc: "The identity that the configuration gives to the caller's uid, from saved state.",
      reads: true,
      out: { identity: 'a{sv}' },
      records: { identity: identityRecord },
      values,
      authorize: 'public',
      errors: { NotFound: 'identity.yaml names no identity for the uid', ...savedErrors },
    },
    GetModuleIdentity: {
      doc: 'The identity of a module, from saved state.',
      reads: true,
      in: { module_id: 's' },
      out: { identity: 'a{sv}' },
      records: { identity: identityRecord },
      values,
      check: moduleId,
      authorize: 'public',
      errors: { NotFound: 'there is no module of that id', ...savedErrors },
    },
    ListModuleIdentities: {
      doc: 'The identities of all modules, from saved state; with `refresh` all that the hub has (one that other software created has no `key_id`).',
      reads: true,
      waits: true,
      options: { refresh: 'b' },
      out: { identities: 'aa{sv}' },
      records: { identities: identityRecord },
      values,
      authorize: 'public',
      errors: cloudErrors,
    },
    CreateModuleIdentity: {
      doc: 'Registers a module with the hub; completes one that an interrupted call has left. One that the hub has and that is not in our records is AlreadyExists, unless `adopt` is set and it has no manager or is managed by us or by IotEdge.',
      long: true,
      in: { module_id: 's' },
      options: { ...waitOption, kind: 's', managed_by: 's', usage: 's', adopt: 'b' },
      out: { identity: 'a{sv}' },
      records: { identity: identityRecord },
      values,
      check: manageCheck,
      authorize: manage,
      errors: {
        ...longErrors,
        ...cloudErrors,
        AlreadyExists: 'other software manages the module of that id on the hub',
        NotSupported: 'identities of that kind are not supported',
      },
    },
    UpdateModuleIdentity: {
      doc: 'Writes the keys of a module to the hub again; with `adopt` also of one that other software created. Unavailable when it changes on the hub meanwhile.',
      waits: true,
      in: { module_id: 's' },
      options: { kind: 's', managed_by: 's', usage: 's', adopt: 'b' },
      out: { identity: 'a{sv}' },
      records: { identity: identityRecord },
      values,
      check: manageCheck,
      authorize: manage,
      errors: {
        ...cloudErrors,
        AlreadyExists: 'other software manages the module of that id on the hub',
        NotFound: 'there is no module of that id',
        NotSupported: 'identities of that kind are not supported',
      },
    },
    DeleteModuleIdentity: {
      doc: 'Removes a module from the hub and from saved state; with `adopt` also one that other software created.',
      long: true,
      in: { module_id: 's' },
      options: { ...waitOption, adopt: 'b' },
      check: moduleId,
      authorize: manage,
      errors: {
        ...longErrors,
        ...cloudErrors,
        AlreadyExists: 'other software manages the module of that id on the hub',
        NotFound: 'there is no module of that id',
      },
    },
    CreateSasToken: {
      doc: 'A SAS token of a module, or of the device for ``; lifetime 1 to 86400 s, 0 is 3600 s.',
      waits: true,
      in: { module_id: 's', audience: 's', lifetime_s: 'u' },
      out: { token: 's' },
      check: { module_id: { maxBytes: 128 }, audience: { maxBytes: 4096 } },
      authorize: {
        action: {
          oneOf: ['org.iotedge.identity1.sign', 'org.iotedge.identity1.sign-device'],
          choose: (text) =>
            text['module_id'] === ''
              ? 'org.iotedge.identity1.sign-device'
              : 'org.iotedge.identity1.sign',
        },
        details: ['module_id', 'audience'],
      },
      errors: {
        ...cloudErrors,
        NotFound: 'there is no module of that id',
        NotSupported: 'the identity proves itself by certificate',
      },
    },
    Cancel: {
      doc: 'Cancels the operation that is in progress for a module, or for the device with ``; its callers get Cancelled.',
      in: { id: 's' },
      check: { id: { maxBytes: 128 } },
      resolve: ['operation', 'adopt'],
      authorize: {
        choose: operationInProgress,
        among: {
          '': provision,
          Provision: provision,
          Reprovision: provision,
          CreateModuleIdentity: manageById,
          DeleteModuleIdentity: manageById,
        },
      },
      errors: { NotFound: 'no operation is in progress for that id' },
    },
    Describe: describe,
  },
  properties: {
    ...managerProperties,
    State: {
      type: 's',
      values: provisioningStates,
      emits: 'true',
      doc: 'The state of its provisioning; after `failed` it is retried at NextAttempt.',
    },
    Operation: {
      ...operationProperty,
      doc: 'The method of the long operation that is in progress for the device, `` when none is.',
    },
    Source: {
      type: 's',
      values: provisioningSources,
      emits: 'true',
      doc: 'Where the identity comes from.',
    },
    Attestation: {
      type: 's',
      values: attestations,
      emits: 'true',
      doc: 'How the device proves itself.',
    },
    HubHostname: { type: 's', emits: 'true', doc: 'The hub, `host[:port]`.' },
    DeviceId: { type: 's', emits: 'true', doc: 'The id of the device on the hub.' },
    GatewayHostname: { type: 's', emits: 'true', doc: 'What to connect to in place of the hub.' },
    LastProvisioned: { type: 't', emits: 'true', doc: 'When, in microseconds since the epoch.' },
    NextAttempt: {
      type: 't',
      emits: 'true',
      doc: 'When provisioning is retried, 0 when it is not.',
    },
    ClockSkew: {
      type: 'x',
      emits: 'true',
      doc: 'Clock of the cloud minus ours, in microseconds: whole seconds, and changed only by 5 s or more.',
    },
  },
});

/** The identity of a module. */
export const moduleIdentityInterface = defineInterface({
  name: 'org.iotedge.Identity1.ModuleIdentity',
  doc: 'The identity of a module.',
  properties: {
    Kind: { type: 's', values: identityKinds, emits: 'const', doc: 'What it is of.' },
    HubHostname: { type: 's', emits: 'true', doc: 'The hub, `host[:port]`.' },
    GatewayHostname: { type: 's', emits: 'true', doc: 'What to connect to in place of the hub.' },
    DeviceId: { type: 's', emits: 'true', doc: 'The id of the device.' },
    ModuleId: { type: 's', emits: 'const', doc: 'The id of the module.' },
    GenerationId: {
      type: 's',
      emits: 'true',
      doc: 'Distinguishes a module from earlier ones of the same id.',
    },
    Auth: { type: 's', values: identityAuths, emits: 'true', doc: 'How it proves itself.' },
    KeyId: { type: 's', emits: 'true', doc: 'The key that signs for it.' },
    Derivation: { type: 'ay', emits: 'true', doc: 'The derivation from that key, empty for none.' },
    CertificateId: { type: 's', emits: 'true', doc: 'Its certificate, `` for none.' },
  },
});

/** The Identity service. */
export const identityService = defineService({
  name: 'identity',
  doc: 'Provisions the device with the cloud; device and module identities.',
  busName: 'org.iotedge.Identity1',
  path: '/org/iotedge/Identity1',
  user: 'iotedge-identity',
  manager: identityInterface,
  child: { segment: 'module', interface: moduleIdentityInterface },
  actions: {
    'org.iotedge.identity1.provision': {
      description: 'Provision the device',
      message: 'Authentication is required to register this device with its cloud',
    },
    'org.iotedge.identity1.manage': {
      description: 'Manage a module identity',
      message:
        'Authentication is required to create, change or delete the cloud identity of the module "$(module_id)"',
    },
    'org.iotedge.identity1.sign': {
      description: 'Create a SAS token of a module',
      message:
        'Authentication is required to let a program sign in to the cloud as the module "$(module_id)"',
    },
    'org.iotedge.identity1.sign-device': {
      description: 'Create a SAS token of the device',
      message: 'Authentication is required to let a program sign in to the cloud as this device',
    },
  },
});
