/** The container network that modules join, as in modules.yaml and as in the API of the engine. */
import { BlockList, isIP } from 'node:net';
import type { ParseContext } from '../../service/config/parse-context.ts';

/** The container network that modules join. */
export interface NetworkConfig {
  readonly name: string;
  readonly ipv6?: boolean;
  /** As in the API of the engine. */
  readonly ipam?: Readonly<Record<string, unknown>>;
}

/** The setting, valid by the schema but not yet parsed. */
export type RawNetwork =
  | string
  | {
      readonly name: string;
      readonly ipv6?: boolean;
      readonly ipam?: RawIpam;
    };

type Range = Readonly<Record<string, string>>;

interface RawIpam {
  readonly config?: readonly Range[];
  readonly Config?: readonly Range[];
  readonly Driver?: string;
  readonly Options?: Readonly<Record<string, string>>;
}

const text = { type: 'string', minLength: 1 } as const;
const texts = { type: 'object', additionalProperties: { type: 'string' } } as const;

const range = {
  type: 'object',
  additionalProperties: false,
  properties: {
    subnet: { description: 'Addresses of the network: 172.20.0.0/16 or an IPv6 prefix.', ...text },
    gateway: { description: "This machine's address in it.", ...text },
    ip_range: { description: 'The part of the subnet that containers get.', ...text },
  },
} as const;

const engineRange = {
  type: 'object',
  additionalProperties: false,
  properties: {
    Subnet: { description: 'As subnet.', ...text },
    Gateway: { description: 'As gateway.', ...text },
    IPRange: { description: 'As ip_range.', ...text },
    AuxiliaryAddresses: { description: 'Addresses that are taken, by a name.', ...texts },
  },
} as const;

/** JSON schema of the setting. */
export const networkSchema = {
  description: 'The container network that modules join; it is created when it is missing.',
  anyOf: [
    text,
    {
      type: 'object',
      additionalProperties: false,
      required: ['name'],
      properties: {
        name: { description: 'Its name.', ...text },
        ipv6: { description: 'Whether it has IPv6.', type: 'boolean' },
        ipam: {
          description: "The engine's address management.",
          type: 'object',
          additionalProperties: false,
          properties: {
            config: { description: 'Ranges of addresses.', type: 'array', items: range },
            Config: {
              description: "More of them, in the engine's own words.",
              type: 'array',
              items: engineRange,
            },
            Driver: { description: 'What gives out addresses.', ...text },
            Options: { description: 'Options of that driver.', ...texts },
          },
        },
      },
    },
  ],
  default: 'azure-iot-edge',
} as const;

/** The syntax of network names of the engine. */
const networkName = /^[A-Za-z0-9][A-Za-z0-9_.-]*$/;
/** The names of the settings of a range in each of the two lists. */
const words = {
  config: { subnet: 'subnet', gateway: 'gateway', part: 'ip_range' },
  Config: { subnet: 'Subnet', gateway: 'Gateway', part: 'IPRange' },
} as const;
type Words = (typeof words)[keyof typeof words];

/** Parses the setting, with the checks that the schema cannot express. Addresses are spelled as by the engine. */
export function parseNetwork(
  raw: RawNetwork,
  context: Pick<ParseContext, 'report'>,
): NetworkConfig {
  const { name, ipv6, ipam } = typeof raw === 'string' ? { name: raw } : raw;
  if (!networkName.test(name)) {
    const at = typeof raw === 'string' ? ['network'] : ['network', 'name'];
    context.report(at, 'not a name that the engine takes: letters, digits and _ . -');
  }
  return {
    name,
    ...(ipv6 !== undefined && { ipv6 }),
    ...(ipam !== undefined && { ipam: parseIpam(ipam, ipv6 === true, context) }),
  };
}

function parseIpam(
  { config, Config, ...rest }: RawIpam,
  hasIpv6: boolean,
  context: Pick<ParseContext, 'report'>,
): Readonly<Record<string, unknown>> {
  if (config === undefined && Config === undefined) return rest;
  const judge = (list: keyof typeof words) => (raw: Range, at: number) =>
    checkRange({ raw, words: words[list], hasIpv6 }, (setting, message) =>
      context.report(['network', 'ipam', list, at, setting], message),
    );
  config?.forEach(judge('config'));
  Config?.forEach(judge('Config'));
  return { ...rest, Config: [...(config ?? []).map(toEngineNames), ...(Config ?? [])] };
}

function toEngineNames({ subnet, gateway, ip_range }: Range): Range {
  const { Config } = words;
  return {
    ...(subnet !== undefined && { [Config.subnet]: subnet }),
    ...(gateway !== undefined && { [Config.gateway]: gateway }),
    ...(ip_range !== undefined && { [Config.part]: ip_range }),
  };
}

interface RangeSource {
  readonly raw: Range;
  readonly words: Words;
  readonly hasIpv6: boolean;
}

function checkRange(
  { raw, words: called, hasIpv6 }: RangeSource,
  report: (setting: string, message: string) => void,
): void {
  const setting = (name: keyof Words) => ({ key: called[name], value: raw[called[name]] });
  const [subnet, gateway, part] = [setting('subnet'), setting('gateway'), setting('part')];
  const prefix = subnet.value === undefined ? undefined : prefixOf(subnet.value);
  if (prefix === undefined) {
    const wrong = 'not an address and the length of a prefix, such as 172.20.0.0/16';
    if (subnet.value !== undefined) report(subnet.key, wrong);
    else if (part.value !== undefined) report(part.key, 'needs a subnet');
    else if (gateway.value !== undefined) report(gateway.key, 'needs a subnet');
    return;
  }
  if (prefix.family === 'ipv6' && !hasIpv6) report(subnet.key, 'is IPv6: that needs ipv6: true');
  if (gateway.value !== undefined && !contains(prefix, gateway.value)) {
    report(gateway.key, 'not an address in the subnet');
  }
  if (part.value === undefined) return;
  const inner = prefixOf(part.value);
  const fits = inner !== undefined && inner.length >= prefix.length;
  if (!fits || !contains(prefix, inner.address)) {
    report(part.key, 'not a part of the subnet, such as 172.20.10.0/24');
  }
}

interface Prefix {
  readonly address: string;
  readonly length: number;
  readonly family: 'ipv4' | 'ipv6';
}

function prefixOf(text: string): Prefix | undefined {
  const [, address = '', digits = ''] = /^([0-9a-fA-F:.]+)\/(\d{1,3})$/.exec(text) ?? [];
  const version = isIP(address);
  const length = Number(digits);
  if (version === 0 || length > (version === 4 ? 32 : 128)) return undefined;
  return { address, length, family: version === 4 ? 'ipv4' : 'ipv6' };
}

function contains({ address, length, family }: Prefix, text: string): boolean {
  if (isIP(text) !== (family === 'ipv4' ? 4 : 6) || text.includes('%')) return false;
  const list = new BlockList();
  list.addSubnet(address, length, family);
  return list.check(text, family);
}
