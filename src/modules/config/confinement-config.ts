/** The part of modules.yaml that restricts what modules may use of the host, and their names. */
import { hostname as machineName } from 'node:os';
import { type ModuleName, moduleNameOf, parseModuleId } from '../../ids.ts';
import type { ParseContext } from '../../service/config/parse-context.ts';
import { isHostName, withoutLastDots } from '../docker/confinement/host-name.ts';
import { isBelow, normalHostPath } from '../docker/confinement/host-path.ts';

/** The parsed restrictions of modules. */
export interface ConfinementConfig {
  readonly allowElevated: boolean;
  /** Normalized by `normalHostPath`; none is below another. */
  readonly allowedBinds: readonly string[];
  readonly allowedVolumes: readonly string[];
  readonly allowedPorts: readonly number[];
  /** The names and addresses that a module may have besides its own. */
  readonly serverNames: ReadonlyMap<ModuleName, readonly string[]>;
}

/** The settings, valid by the schema but not yet parsed. */
export interface RawConfinement {
  readonly allow_elevated: boolean;
  readonly allowed_binds: readonly string[];
  readonly allowed_volumes: readonly string[];
  readonly allowed_ports: readonly number[];
  readonly server_names: Readonly<Record<string, readonly string[]>>;
}

/** JSON schema of these settings. */
export const confinementProperties = {
  allow_elevated: {
    description: 'Whether modules may have create options that reach outside their container.',
    type: 'boolean',
    default: false,
  },
  allowed_binds: {
    description:
      'Host paths that modules may mount: these and nothing below them. Every directory above one is writable by root alone.',
    type: 'array',
    items: { type: 'string', pattern: '^/[^\\0]*$' },
    default: [],
  },
  allowed_volumes: {
    description:
      'Volumes that any module may mount, regardless of who created them and what they contain.',
    type: 'array',
    items: { type: 'string', pattern: '^[A-Za-z0-9][A-Za-z0-9_.-]*$' },
    default: [],
  },
  allowed_ports: {
    description: 'Host ports below 1024 that modules may publish.',
    type: 'array',
    items: { type: 'integer', minimum: 1, maximum: 1023 },
    default: [443],
  },
  server_names: {
    description:
      'Names and addresses that a module may have besides its own, on the network and in its server certificate.',
    type: 'object',
    additionalProperties: { type: 'array', items: { type: 'string', minLength: 1 } },
    default: {},
  },
} as const;

/** Parses the settings, with the checks that the schema cannot express. */
export function parseConfinement(raw: RawConfinement, context: ParseContext): ConfinementConfig {
  return {
    allowElevated: raw.allow_elevated,
    allowedBinds: parseBinds(raw.allowed_binds, context),
    allowedVolumes: raw.allowed_volumes,
    allowedPorts: raw.allowed_ports,
    serverNames: parseServerNames(raw.server_names, context),
  };
}

/** The placeholder for a value in documents of the original runtime. It is accepted, but never used as a name. */
const placeholder = '...';

/** The name by which modules reach the device: as configured, else the host name of the machine. */
export function parseHostname(hostname: string | undefined, context: ParseContext): string {
  if (hostname === placeholder) return hostname;
  const name = withoutLastDots(hostname ?? machineName());
  if (hostname !== undefined && !isHostName(name)) {
    context.report(['hostname'], 'not a host name or address; write letters beyond ASCII as xn--');
  }
  return name;
}

function parseBinds(binds: readonly string[], context: ParseContext): readonly string[] {
  const paths = binds.map(normalHostPath);
  for (const [index, path] of paths.entries()) {
    const over = paths.find((one) => isBelow(path, one));
    if (over === undefined) continue;
    const text = `lies below ${JSON.stringify(over)}: a module that has that one could exchange this one`;
    context.report(['allowed_binds', index], text);
  }
  return paths;
}

function parseServerNames(raw: RawConfinement['server_names'], context: ParseContext) {
  const parsed = new Map<ModuleName, readonly string[]>();
  for (const [module, names] of Object.entries(raw)) {
    for (const [index, name] of names.entries()) {
      if (isHostName(name)) continue;
      context.report(['server_names', module, index], 'not a host name or address');
    }
    try {
      const name = moduleNameOf(parseModuleId(module));
      parsed.set(name, [...(parsed.get(name) ?? []), ...names]);
    } catch {
      // the parser's message repeats the text, which the position of the problem already names
      context.report(['server_names', module], 'not a module name');
    }
  }
  return parsed;
}

/** Warns of a module with the name of the device, which edgeHub always has: probably a mistake. */
export function warnAboutNames(
  { hostname, serverNames }: Pick<ConfinementConfig, 'serverNames'> & { readonly hostname: string },
  context: Pick<ParseContext, 'warnAt'>,
): void {
  for (const [module, names] of serverNames) {
    const at = names.findIndex((name) => name.toLowerCase() === hostname.toLowerCase());
    if (at < 0 || module === 'edgeHub') continue;
    const text = `module "${module}" may answer to the hostname of the device, as edgeHub may`;
    context.warnAt(['server_names', module, at], text);
  }
}
