import { memberObject } from '../create-options/create-options.ts';
import type { JsonObject } from './container-engine.ts';

/** The log drivers of the engine that write files; others refuse these options. */
const fileDrivers: ReadonlySet<string> = new Set(['json-file', 'local']);
const limits = ['max-size', 'max-file'];

/** The log driver in force and the limits that are added where it writes files. */
export interface LogDefaults {
  /** The engine's own driver. */
  readonly driver: string;
  readonly options: Readonly<Record<string, string>>;
}

/** The driver that a create request names, `` when it leaves that to the engine. */
export function logDriverOf(body: JsonObject): string {
  const { Type } = { ...memberObject(memberObject(body, 'HostConfig'), 'LogConfig') };
  return typeof Type === 'string' ? Type : '';
}

/**
 * A create request with limits of its log, unless it has some or its driver writes no files. The driver is named too: the
 * engine's own may be another one by the time of the creation.
 */
export function withLogLimits(body: JsonObject, { driver, options }: LogDefaults): JsonObject {
  const hostConfig = memberObject(body, 'HostConfig');
  const config = memberObject(memberObject(hostConfig, 'LogConfig'), 'Config');
  const Type = logDriverOf(body) || driver;
  // the engine reads keys in any case of letters, and the last of two
  const isAmbiguous = hasVariant(body, 'HostConfig') || hasVariant(hostConfig, 'LogConfig');
  const hasLimits = limits.some((limit) => Object.hasOwn(config, limit));
  if (isAmbiguous || hasLimits || !fileDrivers.has(Type)) return body;
  const LogConfig = { Type, Config: { ...options, ...config } };
  return { ...body, HostConfig: { ...hostConfig, LogConfig } };
}

function hasVariant(object: JsonObject, key: string): boolean {
  return Object.keys(object).some(
    (other) => other !== key && other.toLowerCase() === key.toLowerCase(),
  );
}
