import type { CertificateReference } from './certificate-references.ts';
import type { ApiPaths, ModulesConfig } from './config.ts';
import type { HousekeepingConfig, ImageCleanupConfig } from './housekeeping-config.ts';

/** The configuration under the names and in the forms of modules.yaml, defaults included, for who reads that file. */
export function configDocument(config: ModulesConfig): object {
  const { log_level, idle_exit_s, authorization, grants, homedir_path, homedir } = config;
  return {
    log_level,
    idle_exit_s,
    authorization,
    grants,
    homedir_path,
    homedir,
    certificates: {
      device_ca_cert: config.deviceCa === undefined ? undefined : `cert://${config.deviceCa}`,
      device_ca_pk: config.deviceCaKey === undefined ? undefined : `key://${config.deviceCaKey}`,
      trusted_ca_certs: config.trustedCas.map(referenceText),
    },
    agent: config.agent,
    hostname: config.hostname,
    module_key: config.moduleKey,
    on_stop: config.onStop,
    connect: uris(config.connect),
    listen: uris(config.listen),
    moby_runtime: { uri: `unix://${config.engineSocket}` },
    network: config.network,
    log_options: logOptions(config),
    image_garbage_collection: imageCleanup(config.imageCleanup),
    allow_elevated: config.allowElevated,
    allowed_binds: config.allowedBinds,
    allowed_volumes: config.allowedVolumes,
    allowed_ports: config.allowedPorts,
    server_names: Object.fromEntries(config.serverNames),
  };
}

function referenceText(reference: CertificateReference): string {
  return reference.kind === 'id' ? `cert://${reference.id}` : `file://${encodeURI(reference.path)}`;
}

function uris({ management, workload }: ApiPaths): object {
  return { management_uri: `unix://${management}`, workload_uri: `unix://${workload}` };
}

function logOptions({ logOptions: options }: HousekeepingConfig): object {
  const size = options['max-size'];
  if (size === undefined) return { max_size: 'unlimited' };
  return { max_size: size, max_file: Number(options['max-file']) };
}

function imageCleanup(config: ImageCleanupConfig): object {
  const { enabled, recurrenceMs, ageMs, timeMin, freePercent } = config;
  const [hours, minutes] = [Math.floor(timeMin / 60), timeMin % 60].map((one) =>
    String(one).padStart(2, '0'),
  );
  return {
    enabled,
    cleanup_recurrence: duration(recurrenceMs),
    image_age_cleanup_threshold: duration(ageMs),
    cleanup_time: `${hours}:${minutes}`,
    free_space_threshold_percent: freePercent,
  };
}

function duration(ms: number): string {
  const [unit, unitMs] =
    ms % 86_400_000 === 0
      ? ['d', 86_400_000]
      : ms % 3_600_000 === 0
        ? ['h', 3_600_000]
        : ['m', 60_000];
  return `${ms / Number(unitMs)}${unit}`;
}
