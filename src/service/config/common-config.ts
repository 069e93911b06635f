/** The lowest priority that is logged: `error`, `warn`, `info` or `debug`. */
export type LogLevel = 'error' | 'warn' | 'info' | 'debug';

/** One entry of `authorization.acl`. With both a user and a group, the caller must match both. */
export interface AclRule {
  readonly user?: string;
  readonly group?: string;
  /** Globs for actions. */
  readonly actions: readonly string[];
  /** Globs by the name of the detail. */
  readonly match?: Readonly<Record<string, string>>;
}

/** One entry of `grants`: what another of the four services may do here without a check by the backend. */
export interface GrantRule {
  readonly user: string;
  readonly actions: readonly string[];
  readonly match?: Readonly<Record<string, string>>;
}

/** The settings common to all four services. */
export interface CommonConfig {
  readonly log_level: LogLevel;
  readonly idle_exit_s: number;
  readonly authorization: {
    readonly backend: 'polkit' | 'acl';
    readonly cache_s: number;
    readonly acl: readonly AclRule[];
  };
  readonly grants: readonly GrantRule[];
  readonly homedir_path?: string;
  readonly homedir?: string;
}

/** The users of the four services. */
export const serviceUsers = [
  'iotedge-keys',
  'iotedge-certificates',
  'iotedge-identity',
  'iotedge-modules',
];

const globs = {
  description: 'Globs on polkit actions: * is any run of characters, ? is one.',
  type: 'array',
  items: { type: 'string', minLength: 1 },
  minItems: 1,
};

const match = {
  description:
    'Globs by detail of the action, for example key_id. A detail that is not named is free, but for elevated, profile, derivation and adopt, which then have their default, and for ids that begin with iotedge/, which only a glob that begins so covers.',
  type: 'object',
  additionalProperties: { type: 'string' },
};

const aclRule = {
  type: 'object',
  properties: {
    user: { description: 'The user that the rule is for.', type: 'string', minLength: 1 },
    group: { description: 'The group that the rule is for.', type: 'string', minLength: 1 },
    actions: globs,
    match,
  },
  required: ['actions'],
  anyOf: [{ required: ['user'] }, { required: ['group'] }],
  additionalProperties: false,
};

/** Spread into the `properties` of a service's schema; the values have the type `CommonConfig`. */
export const commonProperties = {
  log_level: {
    description: 'The least important records that are written to the journal.',
    type: 'string',
    enum: ['error', 'warn', 'info', 'debug'],
    default: 'info',
  },
  idle_exit_s: {
    description:
      'Seconds without work after which the process ends until it is called again; 0 is never.',
    type: 'number',
    minimum: 0,
    maximum: 86_400,
    default: 60,
  },
  authorization: {
    description: 'Who decides what callers may do.',
    type: 'object',
    properties: {
      backend: {
        description: 'polkit asks polkitd; acl uses the rules below and needs no polkit.',
        type: 'string',
        enum: ['polkit', 'acl'],
        default: 'polkit',
      },
      cache_s: {
        description:
          'Seconds for which a yes of polkit may be used again by the same caller; 0 is never.',
        type: 'number',
        minimum: 0,
        maximum: 300,
        default: 10,
      },
      acl: {
        description: 'The rules of the acl backend.',
        type: 'array',
        items: aclRule,
        default: [],
      },
    },
    additionalProperties: false,
    default: {},
  },
  grants: {
    description: 'What others of the four services may do here beyond their built-in grants.',
    type: 'array',
    items: {
      type: 'object',
      properties: {
        user: { description: 'The user of the other service.', type: 'string', enum: serviceUsers },
        actions: globs,
        match,
      },
      required: ['user', 'actions'],
      additionalProperties: false,
    },
    default: [],
  },
  homedir_path: {
    description: 'The state directory of the service; --state-dir comes before it.',
    type: 'string',
    pattern: '^/',
  },
  homedir: { description: 'Another name for homedir_path.', type: 'string', pattern: '^/' },
} as const;
