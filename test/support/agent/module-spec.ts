/** The specifications that edgeAgent sends: it adds a bind, labels, networks and the environment of a module. */
import { objectOf } from './wire-forms.ts';

const labelPrefix = 'net.azure-devices.edge.';
const owner = 'Microsoft.Azure.Devices.Edge.Agent';

/** A module of a deployment. */
export interface DesiredModule {
  readonly image: string;
  readonly createOptions?: Readonly<Record<string, unknown>>;
  readonly env?: Readonly<Record<string, string>>;
  readonly status?: 'running' | 'stopped';
  readonly auth?: Readonly<Record<string, string>>;
}
/** A specification as the agent sends it. */
export interface ModuleSpec {
  readonly name: string;
  readonly type: string;
  readonly imagePullPolicy: string;
  readonly config: {
    readonly settings: {
      readonly image: string;
      readonly createOptions: object;
      readonly auth?: object;
    };
    readonly env: readonly { readonly key: string; readonly value: string }[];
  };
}

/** What a specification depends on besides the deployment. */
export interface SpecContext {
  readonly name: string;
  readonly generationId: string;
  /** Of the agent's container. */
  readonly environment: ReadonlyMap<string, string>;
}

/** The specification of a module of a deployment. */
export function moduleSpec(
  context: SpecContext,
  { image, createOptions = {}, env = {}, auth }: DesiredModule,
): ModuleSpec {
  const { environment, name } = context;
  const of = (variable: string): string => environment.get(variable) ?? '';
  const pathOf = (variable: string): string => of(variable).replace('unix://', '');
  const hostConfig = objectOf(createOptions['HostConfig'] ?? {}, 'HostConfig');
  const given = hostConfig['Binds'];
  const others: readonly unknown[] = Array.isArray(given) ? given : [];
  const source = `${pathOf('IOTEDGE_WORKLOADLISTEN_MNTURI')}/${name}.sock`;
  const binds = [...others, `${source}:${pathOf('IOTEDGE_WORKLOADURI')}`];
  const labels = {
    ...objectOf(createOptions['Labels'] ?? {}, 'Labels'),
    [`${labelPrefix}owner`]: owner,
    ...ownLabels(name, createOptions, image),
  };
  const endpoint = name === 'edgeHub' ? { Aliases: [of('EdgeDeviceHostName')] } : {};
  const options = {
    ...createOptions,
    HostConfig: { ...hostConfig, Binds: binds },
    Labels: labels,
    NetworkingConfig: { EndpointsConfig: { [of('NetworkId')]: endpoint } },
  };
  const settings = { image, createOptions: options, ...(auth !== undefined && { auth }) };
  const variables = Object.entries({ ...env, ...variablesOf(context, of) });
  return {
    name,
    type: 'docker',
    imagePullPolicy: 'On-Create',
    config: { settings, env: variables.map(([key, value]) => ({ key, value })) },
  };
}

/** From these of its own container it reads its configuration. */
function ownLabels(name: string, createOptions: object, image: string): object {
  if (name !== 'edgeAgent') return {};
  return {
    [`${labelPrefix}create-options`]: JSON.stringify(createOptions),
    [`${labelPrefix}env`]: '{}',
    [`${labelPrefix}original-image`]: image,
  };
}

function variablesOf(
  { name, generationId }: SpecContext,
  of: (variable: string) => string,
): Readonly<Record<string, string>> {
  const id = idOf(name);
  const parent = of('IOTEDGE_GATEWAYHOSTNAME');
  return {
    IOTEDGE_WORKLOADURI: of('IOTEDGE_WORKLOADURI'),
    IOTEDGE_AUTHSCHEME: 'sasToken',
    IOTEDGE_MODULEGENERATIONID: generationId,
    IOTEDGE_IOTHUBHOSTNAME: of('IOTEDGE_IOTHUBHOSTNAME'),
    [id.startsWith('$') ? 'EdgeDeviceHostName' : 'IOTEDGE_GATEWAYHOSTNAME']:
      of('EdgeDeviceHostName'),
    ...(parent !== '' && {
      [id.startsWith('$') ? 'IOTEDGE_GATEWAYHOSTNAME' : 'IOTEDGE_PARENTHOSTNAME']: parent,
    }),
    IOTEDGE_DEVICEID: of('IOTEDGE_DEVICEID'),
    IOTEDGE_MODULEID: id,
    RuntimeLogLevel: 'Information',
    IOTEDGE_APIVERSION: of('IOTEDGE_APIVERSION'),
  };
}

/** The id at the hub of a module. */
export function idOf(name: string): string {
  return name === 'edgeAgent' || name === 'edgeHub' ? `$${name}` : name;
}
