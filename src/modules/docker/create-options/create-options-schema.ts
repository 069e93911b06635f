/**
 * The create options that need no elevation, as an allow list: all others reach outside the container, or may do so.
 * Mounts, host ports and networks are limited further by modules.yaml. The engine ignores the case of member names, which
 * a list of forbidden ones would have to follow.
 *
 * A violation of `enum`, `const`, `not`, `maxItems` or `maxProperties` means that the value needs elevation; that of any
 * other keyword, and an unknown member, is a mistake. Members that need elevation are listed with the engine's default,
 * which has no effect.
 */
const text = { type: 'string' } as const;
const flag = { type: 'boolean' } as const;
const amount = { type: 'integer', minimum: 0 } as const;
/** -1 means no limit to the engine. */
const limit = { type: 'integer', minimum: -1 } as const;
const texts = { type: 'array', items: text } as const;
const textMap = { type: 'object', additionalProperties: text } as const;
const noText = { type: 'string', enum: [''] } as const;
const no = { type: 'boolean', const: false } as const;
const none = { type: 'integer', const: 0 } as const;
const nothing = { type: 'array', maxItems: 0 } as const;
const noMembers = { type: 'object', maxProperties: 0 } as const;
/** Negative values need elevation. */
const fromNone = { type: 'integer', not: { type: 'integer', exclusiveMaximum: 0 } } as const;
const needsElevation = { not: {} } as const;
const command = { anyOf: [text, texts] } as const;
// each host path among them is checked
const mostMounts = 128;
const portSet = {
  type: 'object',
  propertyNames: {
    pattern: '^[0-9]{1,5}(-[0-9]{1,5})?(/([tT][cC][pP]|[uU][dD][pP]|[sS][cC][tT][pP]))?$',
  },
} as const;

/** A record with these members and no others. */
function closed<const P extends Readonly<Record<string, object>>>(properties: P) {
  return { type: 'object', additionalProperties: false, properties } as const;
}

/** One of these; `known` are the engine's other values. */
function choice<const V extends readonly string[]>(values: V, known: readonly string[]) {
  return {
    type: 'string',
    pattern: `^(${[...values, ...known].join('|')})$`,
    enum: values,
  } as const;
}

const propagations = ['private', 'rshared', 'shared', 'rslave', 'slave'];

const mount = {
  ...closed({
    Type: choice(['bind', 'volume', 'tmpfs'], ['npipe', 'cluster', 'image']),
    Source: text,
    Target: text,
    ReadOnly: flag,
    Consistency: text,
    BindOptions: closed({
      Propagation: choice(['', 'rprivate'], propagations),
      NonRecursive: no,
      CreateMountpoint: no,
      ReadOnlyNonRecursive: no,
      ReadOnlyForceRecursive: no,
    }),
    VolumeOptions: closed({
      NoCopy: flag,
      // one of these labels names the owner of a volume
      Labels: { ...textMap, propertyNames: { not: { pattern: '^org\\.iotedge\\.' } } },
      DriverConfig: closed({ Name: noText, Options: noMembers }),
      Subpath: noText,
    }),
    ImageOptions: noMembers,
    TmpfsOptions: closed({ SizeBytes: amount, Mode: amount, Options: nothing }),
    ClusterOptions: noMembers,
  }),
  required: ['Type', 'Target'],
};

const logOptions = {
  ...textMap,
  propertyNames: {
    enum: ['max-size', 'max-file', 'compress', 'mode', 'max-buffer-size', 'labels', 'env'],
  },
};

const hostConfig = closed({
  Annotations: noMembers,
  AutoRemove: no,
  Binds: { ...texts, maxItems: mostMounts },
  BlkioDeviceReadBps: nothing,
  BlkioDeviceReadIOps: nothing,
  BlkioDeviceWriteBps: nothing,
  BlkioDeviceWriteIOps: nothing,
  BlkioWeight: amount,
  BlkioWeightDevice: nothing,
  CapAdd: nothing,
  CapDrop: texts,
  Capabilities: nothing,
  Cgroup: noText,
  CgroupParent: noText,
  CgroupnsMode: choice(['', 'private'], ['host']),
  ConsoleSize: { type: 'array', items: amount, minItems: 2, maxItems: 2 },
  ContainerIDFile: noText,
  CpuCount: amount,
  CpuPercent: amount,
  CpuPeriod: amount,
  CpuQuota: limit,
  CpuRealtimePeriod: none,
  CpuRealtimeRuntime: none,
  CpuShares: amount,
  CpusetCpus: text,
  CpusetMems: text,
  DeviceCgroupRules: nothing,
  DeviceRequests: nothing,
  Devices: nothing,
  Dns: texts,
  DnsOptions: texts,
  DnsSearch: texts,
  ExtraHosts: texts,
  GroupAdd: nothing,
  IOMaximumBandwidth: amount,
  IOMaximumIOps: amount,
  Init: flag,
  IpcMode: choice(['', 'private', 'none'], ['host', 'shareable', 'container:.*']),
  Isolation: choice(['', 'default'], ['process', 'hyperv']),
  KernelMemory: none,
  KernelMemoryTCP: none,
  Links: nothing,
  LogConfig: closed({
    // not the journal: the output of a module would displace the records of the machine
    Type: { type: 'string', enum: ['', 'json-file', 'local', 'none'] },
    Config: logOptions,
  }),
  // an empty list unmasks, so there is no harmless default
  MaskedPaths: needsElevation,
  Memory: amount,
  MemoryReservation: amount,
  MemorySwap: limit,
  MemorySwappiness: limit,
  Mounts: { type: 'array', items: mount, maxItems: mostMounts },
  NanoCpus: amount,
  NetworkMode: text,
  OomKillDisable: no,
  // the lower, the more of the other processes are killed first
  OomScoreAdj: fromNone,
  PidMode: noText,
  PidsLimit: limit,
  PortBindings: {
    ...portSet,
    additionalProperties: {
      type: 'array',
      items: closed({ HostIp: text, HostPort: text }),
    },
  },
  Privileged: no,
  PublishAllPorts: flag,
  ReadonlyPaths: needsElevation,
  ReadonlyRootfs: flag,
  RestartPolicy: closed({
    Name: { type: 'string', enum: ['', 'no', 'always', 'unless-stopped', 'on-failure'] },
    MaximumRetryCount: amount,
  }),
  Runtime: noText,
  SecurityOpt: {
    type: 'array',
    items: {
      type: 'string',
      enum: ['no-new-privileges', 'no-new-privileges:true', 'no-new-privileges=true'],
    },
  },
  ShmSize: amount,
  StorageOpt: noMembers,
  Sysctls: noMembers,
  Tmpfs: textMap,
  UTSMode: noText,
  Ulimits: {
    type: 'array',
    items: closed({ Name: text, Soft: fromNone, Hard: fromNone }),
  },
  UsernsMode: noText,
  VolumeDriver: noText,
  VolumesFrom: nothing,
});

const endpoint = closed({
  Aliases: texts,
  DNSNames: nothing,
  DriverOpts: noMembers,
  EndpointID: noText,
  Gateway: noText,
  GlobalIPv6Address: noText,
  GlobalIPv6PrefixLen: none,
  GwPriority: none,
  IPAMConfig: noMembers,
  IPAddress: noText,
  IPPrefixLen: none,
  IPv6Gateway: noText,
  Links: nothing,
  MacAddress: noText,
  NetworkID: noText,
});

/** JSON schema of the create options that need no elevation. */
export const createOptionsSchema = {
  $id: 'iotedge:modules/create-options',
  ...closed({
    ArgsEscaped: no,
    AttachStderr: flag,
    AttachStdin: flag,
    AttachStdout: flag,
    Cmd: command,
    Domainname: text,
    Entrypoint: command,
    Env: texts,
    ExposedPorts: { ...portSet, additionalProperties: closed({}) },
    Healthcheck: closed({
      Test: texts,
      Interval: amount,
      Timeout: amount,
      Retries: amount,
      StartPeriod: amount,
      StartInterval: amount,
    }),
    HostConfig: hostConfig,
    Hostname: text,
    Image: text,
    Labels: textMap,
    MacAddress: noText,
    Name: noText,
    NetworkDisabled: flag,
    NetworkingConfig: closed({
      EndpointsConfig: { type: 'object', additionalProperties: endpoint },
    }),
    OnBuild: nothing,
    OpenStdin: flag,
    Shell: nothing,
    StdinOnce: flag,
    StopSignal: text,
    StopTimeout: amount,
    Tty: flag,
    User: text,
    Volumes: { type: 'object', additionalProperties: closed({}) },
    WorkingDir: text,
  }),
} as const;
