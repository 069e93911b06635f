/** The mounts in the create options of a module, and the form in which the engine gets them. */

import { quoted } from '../../../quoted.ts';
import { memberArray, memberObject } from '../create-options/create-options.ts';
import type { JsonObject } from '../engine/container-engine.ts';
import { normalHostPath } from './host-path.ts';
import { elevationViolation, mistake, type PolicyViolation } from './policy-violation.ts';

/** A volume that create options name. */
export interface VolumeRequest {
  readonly name: string;
  readonly labels: Readonly<Record<string, string>>;
}

/** The mounts of create options by the kind of their source. */
export interface MountRequests {
  /** In the spelling of `normalHostPath`. */
  readonly hostPaths: readonly string[];
  readonly volumes: readonly VolumeRequest[];
  /** The mounts that are neither. */
  readonly others: readonly PolicyViolation[];
}

const volumePattern = /^[A-Za-z0-9][A-Za-z0-9_.-]*$/;
const hostOptionsPattern = /^(ro|rw)$/;
const volumeOptionsPattern = /^(ro|rw|nocopy)(,(ro|rw|nocopy))*$/;

interface Bind {
  readonly source: string;
  readonly target: string;
  readonly options: string | undefined;
}

/** Everything that create options mount from outside the container. */
export function mountsOf(createOptions: JsonObject): MountRequests {
  const hostConfig = memberObject(createOptions, 'HostConfig');
  const hostPaths = new Set<string>();
  const volumes = new Map<string, VolumeRequest>();
  const others: PolicyViolation[] = [];
  for (const text of memberArray(hostConfig, 'Binds')) {
    if (typeof text !== 'string' || isAnonymous(text)) continue;
    const bind = parseBind(text);
    if (bind === undefined) others.push(mistake(`bind ${quoted(text)} is not of the right form`));
    else if (!hasAllowedOptions(bind))
      others.push(elevationViolation(`bind ${quoted(text)} has options that are not allowed`));
    else if (isHostBind(bind)) hostPaths.add(normalHostPath(bind.source));
    else volumes.set(bind.source, { name: bind.source, labels: {} });
  }
  for (const member of memberArray(hostConfig, 'Mounts')) {
    const mount = memberObject({ member }, 'member');
    const { Type: type, Source: asked } = mount;
    const source = typeof asked === 'string' ? asked : '';
    if (source === '' && type !== 'bind') continue;
    if (type === 'bind' && source.startsWith('/')) hostPaths.add(normalHostPath(source));
    else if (type === 'volume' && volumePattern.test(source)) {
      volumes.set(source, { name: source, labels: labelsOf(mount) });
    } else others.push(mountViolation(type, source));
  }
  return { hostPaths: [...hostPaths], volumes: [...volumes.values()], others };
}

function mountViolation(type: unknown, source: string): PolicyViolation {
  switch (type) {
    case 'bind':
      return mistake(`mount of ${quoted(source)}: a bind needs an absolute path`);
    case 'volume':
      return mistake(`mount of ${quoted(source)}: not a name of a volume`);
    case 'tmpfs':
      return mistake(`mount of ${quoted(source)}: a tmpfs has no source`);
    default:
      return elevationViolation(`mount of ${quoted(source)} is not allowed`);
  }
}

/**
 * The create options with every host path as one of `Mounts` in the spelling that was checked: another spelling of the
 * same path may lead elsewhere, and for `Binds` the engine would create missing directories, at every start, as root.
 */
export function withHostMounts(createOptions: JsonObject): JsonObject {
  const hostConfig = memberObject(createOptions, 'HostConfig');
  const binds = memberArray(hostConfig, 'Binds');
  const asked = memberArray(hostConfig, 'Mounts');
  if (binds.length === 0 && asked.length === 0) return createOptions;
  const mounts: unknown[] = asked.map(withNormalSource);
  const kept = binds.filter((text) => {
    const bind = typeof text === 'string' ? parseBind(text) : undefined;
    if (bind === undefined || !isHostBind(bind) || !hasAllowedOptions(bind)) return true;
    const { source, target, options } = bind;
    const ReadOnly = options === 'ro';
    mounts.push({ Type: 'bind', Source: normalHostPath(source), Target: target, ReadOnly });
    return false;
  });
  const changed = { ...hostConfig, ...(binds.length > 0 && { Binds: kept }), Mounts: mounts };
  return { ...createOptions, HostConfig: changed };
}

function withNormalSource(mount: unknown): unknown {
  const { Type: type, Source: source } = memberObject({ mount }, 'mount');
  if (type !== 'bind' || typeof source !== 'string') return mount;
  return { ...memberObject({ mount }, 'mount'), Source: normalHostPath(source) };
}

/** A single path is the target of an anonymous volume. */
function isAnonymous(bind: string): boolean {
  return !bind.includes(':');
}

/** A bind in the form of the engine, undefined for any other text. */
function parseBind(text: string): Bind | undefined {
  const [source = '', target = '', options, ...rest] = text.split(':');
  if (rest.length > 0 || target === '') return undefined;
  const bind = { source, target, options };
  return isHostBind(bind) || volumePattern.test(source) ? bind : undefined;
}

function hasAllowedOptions(bind: Bind): boolean {
  const allowed = isHostBind(bind) ? hostOptionsPattern : volumeOptionsPattern;
  return bind.options === undefined || allowed.test(bind.options);
}

function isHostBind({ source }: Bind): boolean {
  return source.startsWith('/');
}

function labelsOf(mount: JsonObject): Readonly<Record<string, string>> {
  const labels = memberObject(memberObject(mount, 'VolumeOptions'), 'Labels');
  const texts = Object.entries(labels).map(([key, value]) => [key, String(value)] as const);
  return Object.fromEntries(texts);
}
