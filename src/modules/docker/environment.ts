import type { ModuleName } from '../../ids.ts';
import type { ModulesConfig } from '../config/config.ts';
import { hostOf } from './confinement/host-name.ts';

/** The sources of a module's environment. */
export interface EnvironmentSource {
  readonly name: ModuleName;
  readonly identity: {
    readonly hub_hostname: string;
    readonly gateway_hostname: string;
    readonly device_id: string;
    readonly module_id: string;
    readonly generation_id: string;
  };
  readonly config: Pick<ModulesConfig, 'hostname' | 'connect' | 'network' | 'agent'>;
  /** The directory that holds one directory of sockets per module. */
  readonly socketsPath: string;
}

const apiVersion = '2022-08-03';

/** The variable of agents alone that names the directory of all modules' sockets. */
export const agentSocketsVariable = 'IOTEDGE_WORKLOADLISTEN_MNTURI';

/** The variables with the hosts above a module; those that it does not have are fixed, too. */
const gatewayNames: readonly string[] = ['IOTEDGE_GATEWAYHOSTNAME', 'IOTEDGE_PARENTHOSTNAME'];

/**
 * The variables that say who a module is, what it connects to and where its sockets are. An agent repeats those of its
 * own environment in every request: after the device has moved to another hub or gateway they are wrong.
 */
const fixedNames: readonly string[] = [
  'IOTEDGE_DEVICEID',
  'IOTEDGE_IOTHUBHOSTNAME',
  'IOTEDGE_MODULEID',
  'IOTEDGE_MODULEGENERATIONID',
  'IOTEDGE_WORKLOADURI',
  'IOTEDGE_MANAGEMENTURI',
  ...gatewayNames,
];

/** Those variables of an environment that a module cannot have otherwise; undefined for those that it cannot have. */
export function fixedVariables(
  environment: Readonly<Record<string, string>>,
): Readonly<Record<string, string | undefined>> {
  const names = fixedNames.filter((name) => gatewayNames.includes(name) || name in environment);
  return Object.fromEntries(names.map((name) => [name, environment[name]]));
}

/** The variables in which a module finds its identity and its APIs, with the names that SDKs read. */
export function moduleEnvironment(source: EnvironmentSource): Readonly<Record<string, string>> {
  const { name, identity, config } = source;
  const isAgent = name === config.agent?.name;
  return {
    IOTEDGE_APIVERSION: apiVersion,
    IOTEDGE_AUTHSCHEME: 'sasToken',
    IOTEDGE_DEVICEID: identity.device_id,
    IOTEDGE_IOTHUBHOSTNAME: identity.hub_hostname,
    IOTEDGE_MODULEID: identity.module_id,
    IOTEDGE_MODULEGENERATIONID: identity.generation_id,
    IOTEDGE_WORKLOADURI: `unix://${config.connect.workload}`,
    ...gateway(source, isAgent || name === 'edgeHub'),
    ...((isAgent || name === 'edgeHub') && { EdgeDeviceHostName: config.hostname }),
    ...(isAgent && {
      IOTEDGE_MANAGEMENTURI: `unix://${config.connect.management}`,
      [agentSocketsVariable]: `unix://${source.socketsPath}`,
      Mode: 'iotedged',
      NetworkId: config.network.name,
    }),
  };
}

/**
 * The agent and the hub connect to the parent of this device, every other module to the hub on it. SDKs add the port of
 * their protocol.
 */
function gateway({ identity, config }: EnvironmentSource, isSystem: boolean) {
  const { hub_hostname: hub, gateway_hostname: gatewayHostname } = identity;
  const isNested = gatewayHostname !== '' && gatewayHostname !== hub;
  const above = hostOf(gatewayHostname);
  if (isSystem) return isNested ? { IOTEDGE_GATEWAYHOSTNAME: above } : {};
  return {
    IOTEDGE_GATEWAYHOSTNAME: config.hostname,
    ...(isNested && { IOTEDGE_PARENTHOSTNAME: above }),
  };
}
