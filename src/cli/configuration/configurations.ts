import type { CertificatesConfig } from '../../certificates/config/config.ts';
import type { IdentityConfig } from '../../identity/config/config.ts';
import type { KeysConfig } from '../../keys/config/config.ts';
import type { ModulesConfig } from '../../modules/config/config.ts';
import { stateDirOf } from '../../service/command-line.ts';
import type { PlacedConfig } from '../../service/config/config.ts';

/** The configurations that could be read, by the name of the service. */
export interface Configurations {
  readonly keys?: PlacedConfig<KeysConfig> | undefined;
  readonly certificates?: PlacedConfig<CertificatesConfig> | undefined;
  readonly identity?: PlacedConfig<IdentityConfig> | undefined;
  readonly modules?: PlacedConfig<ModulesConfig> | undefined;
}

/** The configurations by the name of their service, in the order of the services. */
export function byService({ keys, certificates, identity, modules }: Configurations) {
  return new Map(Object.entries({ keys, certificates, identity, modules }));
}

/** The state directory of each service, by its name. */
export function statesOf(all: Configurations): ReadonlyMap<string, string> {
  return new Map(
    [...byService(all)].map(([name, placed]) => {
      const choices = { commandLine: undefined, config: placed?.config ?? {}, environment: {} };
      return [name, stateDirOf(name, choices)];
    }),
  );
}
