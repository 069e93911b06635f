import { type JsonRecord, keyIn, recordIn } from './json.ts';

/** What a module is created from. */
export interface ModuleSpec {
  readonly type: string;
  /** The members of `config_json`; for `docker` the create options are an object. */
  readonly config: JsonRecord;
  readonly env: Readonly<Record<string, string>>;
}

/** A module without anything. */
export const emptySpec: ModuleSpec = { type: 'docker', config: {}, env: {} };

/** Credentials of a registry. */
export interface RegistryCredentials {
  readonly username: string;
  readonly password: string;
}

/** What options say about a module; what is undefined they leave as it is. */
export interface SpecChanges {
  readonly image: string | undefined;
  readonly ports: readonly PublishedPort[] | undefined;
  readonly binds: readonly string[] | undefined;
  readonly command: readonly string[] | undefined;
  readonly env: Readonly<Record<string, string>>;
  readonly restart: string | undefined;
  readonly startAfter: readonly string[] | undefined;
  readonly pull: string | undefined;
  readonly credentials: RegistryCredentials | undefined;
}

/** A port of a module that is reachable on the host; an empty host port is any that is free. */
export interface PublishedPort {
  /** As the engine names it: `80/tcp`. */
  readonly port: string;
  readonly hostIp: string;
  readonly hostPort: string;
}

/** A specification with changes: each list replaces the whole one that was there, variables are added or replaced. */
export function withChanges(spec: ModuleSpec, changes: SpecChanges): ModuleSpec {
  const { image, restart, startAfter, pull, credentials } = changes;
  const auth = { ...recordIn(spec.config, 'auth'), ...credentials };
  // another image has another digest
  const { digest: _digest, ...others } = spec.config;
  return {
    ...spec,
    config: {
      ...(image === undefined || image === spec.config['image'] ? spec.config : others),
      ...(image !== undefined && { image }),
      createOptions: withOptions(recordIn(spec.config, 'createOptions'), changes),
      ...(credentials !== undefined && { auth }),
      ...(restart !== undefined && { restart_policy: restart }),
      ...(startAfter !== undefined && { start_after: startAfter }),
      ...(pull !== undefined && { imagePullPolicy: pull }),
    },
    env: { ...spec.env, ...changes.env },
  };
}

function withOptions(
  createOptions: JsonRecord,
  { ports, binds, command }: SpecChanges,
): JsonRecord {
  const host = keyIn(createOptions, 'HostConfig');
  let hostConfig = recordIn(createOptions, host);
  let options = createOptions;
  if (command !== undefined) options = { ...options, [keyIn(options, 'Cmd')]: command };
  if (ports !== undefined) {
    const exposed = keyIn(options, 'ExposedPorts');
    const before = Object.keys(recordIn(hostConfig, keyIn(hostConfig, 'PortBindings')));
    const kept = Object.entries(recordIn(options, exposed)).filter(
      ([port]) => !before.includes(port),
    );
    const added = ports.map(({ port }) => [port, {}] as const);
    options = { ...options, [exposed]: Object.fromEntries([...kept, ...added]) };
    hostConfig = { ...hostConfig, [keyIn(hostConfig, 'PortBindings')]: bindingsOf(ports) };
  }
  if (binds !== undefined) hostConfig = { ...hostConfig, [keyIn(hostConfig, 'Binds')]: binds };
  const isChanged = ports !== undefined || binds !== undefined;
  return isChanged ? { ...options, [host]: hostConfig } : options;
}

function bindingsOf(ports: readonly PublishedPort[]): JsonRecord {
  const bindings: Record<string, object[]> = {};
  for (const { port, hostIp, hostPort } of ports) {
    (bindings[port] ??= []).push({ HostIp: hostIp, HostPort: hostPort });
  }
  return bindings;
}
