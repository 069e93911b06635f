import { isDeepStrictEqual } from 'node:util';
import type Docker from 'dockerode';
import { memberArray, memberObject } from '../create-options/create-options.ts';
import type { JsonObject } from '../engine/container-engine.ts';

/** What other clients of the engine can change in a container, as far as it does not change by itself. */
export interface Traits {
  /** The id of its image: the engine may have no other record of it. */
  readonly image: string;
  /** Limits in the engine's words; those without a limit are left out. */
  readonly resources: JsonObject;
  /** By the names of its networks. */
  readonly networks: Readonly<Record<string, Endpoint>>;
}

/** How a container is connected to a network. */
interface Endpoint {
  readonly aliases: readonly string[];
  /** The addresses that were requested. */
  readonly addresses: readonly string[];
}

/** The limits that an update of the engine can change, but for the restart policy. */
const limits = [
  'BlkioWeight',
  'CpuPeriod',
  'CpuQuota',
  'CpuRealtimePeriod',
  'CpuRealtimeRuntime',
  'CpuShares',
  'CpusetCpus',
  'CpusetMems',
  'KernelMemory',
  'Memory',
  'MemoryReservation',
  'MemorySwap',
  'NanoCpus',
  'PidsLimit',
] as const;

/**
 * The traits of a container. A closed list, without what stands for the default: an upgraded engine reports more of them,
 * and another value for none.
 */
export function traitsOf(info: Pick<Docker.ContainerInspectInfo, 'Id' | 'Image'>): Traits {
  const whole: JsonObject = { ...info };
  const hostConfig = memberObject(whole, 'HostConfig');
  const networks = memberObject(memberObject(whole, 'NetworkSettings'), 'Networks');
  const set = limits.map((limit) => [limit, hostConfig[limit]] as const).filter(isSet);
  const endpoints = Object.keys(networks).map((name) => {
    return [name, endpointOf(memberObject(networks, name), info.Id)] as const;
  });
  return {
    image: info.Image,
    resources: Object.fromEntries(set),
    networks: Object.fromEntries(endpoints),
  };
}

function isSet([limit, value]: readonly [string, unknown]): boolean {
  const isUnlimited = limit === 'PidsLimit' && typeof value === 'number' && value < 0;
  return !isUnlimited && value !== undefined && value !== null && value !== 0 && value !== '';
}

/** Engines before 25 add the beginning of the container's id to its aliases when it starts. */
function endpointOf(endpoint: JsonObject, id: string): Endpoint {
  const isAlias = (alias: unknown): alias is string =>
    typeof alias === 'string' && !id.startsWith(alias);
  const requested = memberObject(endpoint, 'IPAMConfig');
  const addresses = [requested['IPv4Address'], requested['IPv6Address']].flatMap((address) =>
    typeof address === 'string' && address !== '' ? [address] : [],
  );
  return { aliases: memberArray(endpoint, 'Aliases').filter(isAlias).toSorted(), addresses };
}

/** What differs, in the engine's words. */
export function changedTraits(before: Traits, after: Traits): readonly string[] {
  const changed = Object.entries({ Image: 'image', NetworkSettings: 'networks' } as const).filter(
    ([, trait]) => !isDeepStrictEqual(before[trait], after[trait]),
  );
  const resources = limits.filter((limit) => before.resources[limit] !== after.resources[limit]);
  return [...changed.map(([word]) => word), ...resources];
}
