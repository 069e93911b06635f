import { memberArray, memberObject, objectAt } from '../create-options/create-options.ts';
import type { JsonObject, Network } from './container-engine.ts';

/** How an existing network differs from the configured one, in words; `` when it has everything that is configured. */
export function networkDifference(found: JsonObject, { name, ipv6, ipam }: Network): string {
  const differences = [
    ...(ipv6 !== undefined && found['EnableIPv6'] !== ipv6 ? [`ipv6 is not ${ipv6}`] : []),
    ...missingRanges(memberObject(found, 'IPAM'), ipam ?? {}),
  ];
  if (differences.length === 0) return '';
  const text = `network ${JSON.stringify(name)} exists and is not as configured (${differences.join(', ')})`;
  return `${text}: it is used as it is; remove it when no container is on it to have it made anew`;
}

function missingRanges(found: JsonObject, asked: JsonObject): readonly string[] {
  const present = memberArray(found, 'Config').map((range) => objectAt(range, 'a range'));
  const hasRange = (range: JsonObject): boolean =>
    present.some((candidate) =>
      ['Subnet', 'Gateway', 'IPRange'].every(
        (key) => range[key] === undefined || range[key] === candidate[key],
      ),
    );
  return memberArray(asked, 'Config')
    .map((range) => objectAt(range, 'a range'))
    .filter((range) => !hasRange(range))
    .map((range) => `it lacks ${JSON.stringify(range)}`);
}
