/**
 * What a module may ask of the engine without being elevated, as an allow list: what is not here could
 * reach outside the container, or is not known not to. Mounts, host ports and networks are limited further by
 * modules.yaml.
 * The engine reads the names of members without regard to case, which is one more reason to list what is
 * allowed and not what is forbidden.
 */
const text = { type: 'string' } as const;
const flag = { type: 'boolean' } as const;
const amount = { type: 'integer', minimum: 0 } as const;
const texts = { type: 'array', items: text } as const;
const textMap = { type: 'object', additionalProperties: text } as const;
const nothing = { type: 'array', maxItems: 0 } as const;
const command = { anyOf: [text, texts] } as const;
// Each host path among them is looked up.
const mostMounts = 128;
const portSet = {
  type: 'object',
  propertyNames: { pattern: '^[0-9]{1,5}(-[0-9]{1,5})?(/(tcp|udp|sctp))?$' },
} as const;

/** A record with these members and no others. */
function closed<const P extends Readonly<Record<string, object>>>(properties: P) {
  return { type: 'object', additionalProperties: false, properties } as const;
}

const mount = {
  ...closed({
    Type: { enum: ['bind', 'volume', 'tmpfs'] },
    Source: text,
    Target: text,
    ReadOnly: flag,
    Consistency: text,
    BindOptions: closed({ Propagation: { enum: ['', 'rprivate'] } }),
    VolumeOptions: closed({
      NoCopy: flag,
      // one of these says whose a volume is
      Labels: { ...textMap, propertyNames: { pattern: '^(?!org\\.iotedge\\.)' } },
    }),
    TmpfsOptions: closed({ SizeBytes: amount, Mode: amount }),
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
  AutoRemove: { const: false },
  Binds: { ...texts, maxItems: mostMounts },
  BlkioWeight: amount,
  CapAdd: nothing,
  CapDrop: texts,
  CpuCount: amount,
  CpuPercent: amount,
  CpuPeriod: amount,
  CpuQuota: amount,
  CpuShares: amount,
  CpusetCpus: text,
  CpusetMems: text,
  Devices: nothing,
  Dns: texts,
  DnsOptions: texts,
  DnsSearch: texts,
  ExtraHosts: texts,
  Init: flag,
  IpcMode: { enum: ['', 'private', 'none'] },
  LogConfig: closed({
    // not the journal: what a module prints would push out what the machine has to say
    Type: { enum: ['', 'json-file', 'local', 'none'] },
    Config: logOptions,
  }),
  Memory: amount,
  MemoryReservation: amount,
  MemorySwap: { type: 'integer', minimum: -1 },
  MemorySwappiness: amount,
  Mounts: { type: 'array', items: mount, maxItems: mostMounts },
  NanoCpus: amount,
  NetworkMode: text,
  OomScoreAdj: amount,
  PidsLimit: amount,
  PortBindings: {
    ...portSet,
    additionalProperties: {
      type: 'array',
      items: closed({ HostIp: text, HostPort: text }),
    },
  },
  Privileged: { const: false },
  PublishAllPorts: flag,
  ReadonlyRootfs: flag,
  RestartPolicy: closed({
    Name: { enum: ['', 'no', 'always', 'unless-stopped', 'on-failure'] },
    MaximumRetryCount: amount,
  }),
  SecurityOpt: {
    type: 'array',
    items: { enum: ['no-new-privileges', 'no-new-privileges:true', 'no-new-privileges=true'] },
  },
  ShmSize: amount,
  Tmpfs: textMap,
  Ulimits: {
    type: 'array',
    items: closed({ Name: text, Soft: amount, Hard: amount }),
  },
});

/** JSON schema of the create options that need no elevation. */
export const createOptionsSchema = {
  $id: 'iotedge:modules/create-options',
  ...closed({
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
    NetworkDisabled: flag,
    NetworkingConfig: closed({
      EndpointsConfig: {
        type: 'object',
        additionalProperties: closed({ Aliases: texts }),
      },
    }),
    OpenStdin: flag,
    StdinOnce: flag,
    StopSignal: text,
    StopTimeout: amount,
    Tty: flag,
    User: text,
    Volumes: { type: 'object', additionalProperties: closed({}) },
    WorkingDir: text,
  }),
} as const;
