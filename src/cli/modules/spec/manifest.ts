import { ServiceError } from '../../../errors.ts';
import { quoted } from '../../../quoted.ts';
import { textOf } from '../../description.ts';
import { isRecord, type JsonRecord, recordIn } from './json.ts';

const desired = 'properties.desired';

/** A module of a deployment manifest, also of a layered one, with the credentials of its registry as `auth`. */
export function manifestModule(document: JsonRecord, name: string): JsonRecord {
  const content = recordIn(
    'content' in document ? recordIn(document, 'content') : document,
    'modulesContent',
  );
  const agent = recordIn(content, '$edgeAgent');
  const whole = recordIn(agent, desired);
  const modules = new Map([
    ...entries(recordIn(whole, 'systemModules')),
    ...entries(recordIn(whole, 'modules')),
    ...layered(agent),
  ]);
  const module = modules.get(name);
  if (module === undefined) {
    const known = modules.size === 0 ? 'has no modules' : `has ${[...modules.keys()].join(', ')}`;
    throw new ServiceError(
      'InvalidArgs',
      `the manifest has no module ${quoted(name)}: it ${known}`,
    );
  }
  const settings = recordIn(module, 'settings');
  const image = settings['image'];
  if (typeof image === 'string' && image.includes('${')) {
    const advice = 'generate a manifest from it first';
    throw new ServiceError('InvalidArgs', `the image has variables, this is a template: ${advice}`);
  }
  const auth = credentialsFor(textOf(image), recordIn(recordIn(whole, 'runtime'), 'settings'));
  return auth === undefined || 'auth' in settings ? module : { ...module, auth };
}

function entries(modules: JsonRecord): readonly (readonly [string, JsonRecord])[] {
  return Object.entries(modules).flatMap(([name, module]) =>
    isRecord(module) ? [[name, module] as const] : [],
  );
}

/** The modules of a layered deployment: `properties.desired.modules.<name>`. */
function layered(agent: JsonRecord): readonly (readonly [string, JsonRecord])[] {
  const prefix = `${desired}.modules.`;
  return entries(agent)
    .filter(([key]) => key.startsWith(prefix))
    .map(([key, module]) => [key.slice(prefix.length), module] as const);
}

/** The credentials that a deployment has for the registry of an image; the longest address that fits. */
function credentialsFor(image: string, runtime: JsonRecord): JsonRecord | undefined {
  const [found] = entries(recordIn(runtime, 'registryCredentials'))
    .map(([, { address, username, password }]) => ({
      serveraddress: textOf(address),
      username,
      password,
    }))
    .filter(({ serveraddress: at }) => image === at || image.startsWith(`${at}/`))
    .toSorted((one, other) => other.serveraddress.length - one.serveraddress.length);
  return found;
}
