import { type CommonConfig, commonProperties, type Schema } from '../service/config.ts';

const text = { type: 'string', minLength: 1 } as const;
const socketUri = { type: 'string', pattern: '^unix://(localhost)?/[^\\0]+$' } as const;
const defaultUris = {
  management_uri: 'unix:///var/lib/iotedge/mgmt.sock',
  workload_uri: 'unix:///var/lib/iotedge/workload.sock',
};

function apis(description: string): object {
  return {
    description,
    type: 'object',
    additionalProperties: false,
    default: {},
    properties: {
      management_uri: {
        description: 'The management API, unix:///path.',
        ...socketUri,
        default: defaultUris.management_uri,
      },
      workload_uri: {
        description: 'The workload API, unix:///path.',
        ...socketUri,
        default: defaultUris.workload_uri,
      },
    },
  };
}

const agentSchema = {
  description: 'The module that manages the others. Without it only D-Bus callers do.',
  type: 'object',
  additionalProperties: false,
  required: ['config'],
  properties: {
    name: { description: 'Its name.', ...text, default: 'edgeAgent' },
    type: { description: 'What runs it.', type: 'string', enum: ['docker'], default: 'docker' },
    config: {
      description: 'Its container.',
      type: 'object',
      additionalProperties: false,
      required: ['image'],
      properties: {
        image: { description: 'Image reference.', ...text },
        createOptions: {
          description: "The engine's create request, as an object or as its JSON text.",
          type: ['object', 'string'],
        },
        auth: {
          description: 'Credentials for the registry.',
          type: 'object',
          additionalProperties: false,
          properties: {
            serveraddress: { description: 'Host of the registry.', type: 'string' },
            username: { description: 'User name.', type: 'string' },
            password: { description: 'Password.', type: 'string' },
            email: { description: 'Mail address.', type: 'string' },
          },
        },
      },
    },
    env: {
      description: 'Environment of the agent.',
      type: 'object',
      additionalProperties: { type: ['string', 'number', 'boolean'] },
      default: {},
    },
  },
} as const;

/** JSON schema of modules.yaml. */
export const modulesSchema = {
  $id: 'iotedge:modules',
  type: 'object',
  additionalProperties: false,
  properties: {
    ...commonProperties,
    certificates: {
      description: 'Certificates by reference: cert://<id>, key://<id> or a bare id.',
      type: 'object',
      additionalProperties: false,
      default: {},
      properties: {
        device_ca_cert: { description: 'The CA that issues the certificates of modules.', ...text },
        device_ca_pk: { description: 'Its key.', ...text },
        trusted_ca_certs: {
          description: 'What modules trust: one reference or a list; file:///path is allowed.',
          anyOf: [text, { type: 'array', items: text }],
        },
      },
    },
    agent: agentSchema,
    hostname: { description: 'The name that modules know this device by.', ...text },
    connect: apis('Where modules find the APIs, inside their containers.'),
    listen: apis('Where this machine finds the APIs.'),
    moby_runtime: {
      description: 'The container engine.',
      type: 'object',
      additionalProperties: false,
      default: {},
      properties: {
        uri: {
          description: 'Its API, unix:///path.',
          ...socketUri,
          default: 'unix:///var/run/docker.sock',
        },
      },
    },
    network: {
      description: 'The container network that modules join; it is made when it is missing.',
      anyOf: [
        text,
        {
          type: 'object',
          additionalProperties: false,
          required: ['name'],
          properties: {
            name: { description: 'Its name.', ...text },
            ipv6: { description: 'Whether it has IPv6.', type: 'boolean' },
            ipam: { description: "The engine's address management.", type: 'object' },
          },
        },
      ],
      default: 'azure-iot-edge',
    },
    allow_elevated: {
      description: 'Whether modules may have create options that reach outside their container.',
      type: 'boolean',
      default: false,
    },
    allowed_binds: {
      description: 'Host directories below which modules may mount anything.',
      type: 'array',
      items: { type: 'string', pattern: '^/' },
      default: [],
    },
    server_names: {
      description: 'Modules besides edgeHub whose server certificates may name the device.',
      type: 'array',
      items: text,
      default: [],
    },
  },
} as const satisfies Schema;

/** The URIs of the two APIs. */
export type ApiUris = typeof defaultUris;

/** The container network that modules join. */
export interface NetworkConfig {
  readonly name: string;
  readonly ipv6?: boolean;
  readonly ipam?: Readonly<Record<string, unknown>>;
}

/** modules.yaml as it fits the schema, to be read further. */
export interface RawConfig extends CommonConfig {
  readonly certificates: {
    readonly device_ca_cert?: string;
    readonly device_ca_pk?: string;
    readonly trusted_ca_certs?: string | readonly string[];
  };
  readonly agent?: {
    readonly name: string;
    readonly type: 'docker';
    readonly config: unknown;
    readonly env: Readonly<Record<string, string | number | boolean>>;
  };
  readonly hostname?: string;
  readonly connect: ApiUris;
  readonly listen: ApiUris;
  readonly moby_runtime: { readonly uri: string };
  readonly network: string | NetworkConfig;
  readonly allow_elevated: boolean;
  readonly allowed_binds: readonly string[];
  readonly server_names: readonly string[];
}
