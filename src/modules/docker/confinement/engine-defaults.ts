/** The defaults that `docker inspect` shows of every container: users copy them into create options. */
import { existsSync } from 'node:fs';
import { memberArray, memberObject } from '../create-options/create-options.ts';
import type { JsonObject } from '../engine/container-engine.ts';

/** The control groups of a machine: without the unified hierarchy, engines put containers into the host's namespace. */
export type CgroupVersion = 1 | 2;

interface DefaultPaths {
  /** In every engine since Docker 20.10. */
  readonly always: readonly string[];
  readonly since: readonly string[];
}

const masked: DefaultPaths = {
  always: [
    '/proc/acpi',
    '/proc/asound',
    '/proc/kcore',
    '/proc/keys',
    '/proc/latency_stats',
    '/proc/sched_debug',
    '/proc/scsi',
    '/proc/timer_list',
    '/proc/timer_stats',
    '/sys/firmware',
  ],
  since: [
    '/proc/interrupts',
    '/sys/devices/virtual/powercap',
    '/sys/devices/system/cpu/cpu*/thermal_throttle',
  ],
};
const readOnly: DefaultPaths = {
  always: ['/proc/bus', '/proc/fs', '/proc/irq', '/proc/sys', '/proc/sysrq-trigger'],
  since: [],
};
const runtimes: readonly unknown[] = ['runc', 'io.containerd.runc.v2'];
const thermalThrottle = /^\/sys\/devices\/system\/cpu\/cpu\d+\/thermal_throttle$/;

/** The version of the control groups of this machine. */
export function cgroupVersion(): CgroupVersion {
  return existsSync('/sys/fs/cgroup/cgroup.controllers') ? 2 : 1;
}

/**
 * Create options without the defaults of engines, so that the engine that creates the container applies its own, which
 * may be stricter than those of the inspected one.
 */
export function withoutEngineDefaults(options: JsonObject, version: CgroupVersion): JsonObject {
  const hostConfig = memberObject(options, 'HostConfig');
  const isDefault = (member: string): boolean => {
    switch (member) {
      case 'MaskedPaths':
        return areDefault(memberArray(hostConfig, member), masked);
      case 'ReadonlyPaths':
        return areDefault(memberArray(hostConfig, member), readOnly);
      case 'Runtime':
        return runtimes.includes(hostConfig[member]);
      case 'CgroupnsMode':
        return version === 1 && hostConfig[member] === 'host';
      default:
        return false;
    }
  };
  const members = Object.entries(hostConfig);
  const kept = members.filter(([member]) => !isDefault(member));
  if (kept.length === members.length) return options;
  return { ...options, HostConfig: Object.fromEntries(kept) };
}

function areDefault(paths: readonly unknown[], { always, since }: DefaultPaths): boolean {
  const known: readonly unknown[] = [...always, ...since];
  const isKnown = (path: unknown): boolean =>
    known.includes(path) || (typeof path === 'string' && thermalThrottle.test(path));
  return always.every((path) => paths.includes(path)) && paths.every(isKnown);
}
