/**
 * The files that name a module, as JSON or YAML:
 *
 *   {image, createOptions, auth, …}                        config_json of CreateModule; beside it `env` and `type`
 *   {name, type, config: {settings, env}}                  ModuleSpec of the management API
 *   {settings, env, restartPolicy, …}                      a module of a deployment
 *   {modulesContent: {$edgeAgent: {…: {modules: …}}}}      a deployment manifest
 */
import { ServiceError } from '../../../errors.ts';
import { quoted } from '../../../quoted.ts';
import { textOf } from '../../description.ts';
import { isRecord, type JsonRecord, recordIn } from './json.ts';
import { manifestModule } from './manifest.ts';
import type { ModuleSpec } from './spec.ts';

/** The module that a file names. */
export function specIn(document: unknown, name: string): ModuleSpec {
  if (!isRecord(document)) refuse('it holds no object');
  if ('modulesContent' in document || 'content' in document) {
    return specOfDeployment(manifestModule(document, name));
  }
  if (isRecord(document['config'])) return specOfApi(document, name);
  if (isRecord(document['settings'])) return specOfDeployment(document);
  if ('image' in document) return specOfConfig(document);
  return refuse(
    'it is neither the configuration of a module (image, createOptions), nor a ModuleSpec (config), nor a module of a deployment (settings), nor a deployment manifest (modulesContent)',
  );
}

function specOfConfig(document: JsonRecord): ModuleSpec {
  const { env, type, ...config } = document;
  return { type: typeOf(type), config: normalized(config), env: variables(env) };
}

function specOfApi(document: JsonRecord, name: string): ModuleSpec {
  const named = document['name'];
  if (named !== undefined && named !== name) {
    refuse(`it is a ModuleSpec of module ${quoted(textOf(named))}, not of ${quoted(name)}`);
  }
  const config = recordIn(document, 'config');
  const { imagePullPolicy } = document;
  const settings = recordIn(config, 'settings');
  return {
    type: typeOf(document['type']),
    config: { ...normalized(settings), ...(imagePullPolicy !== undefined && { imagePullPolicy }) },
    env: listedVariables(config['env']),
  };
}

function specOfDeployment(module: JsonRecord): ModuleSpec {
  const { restartPolicy, imagePullPolicy } = module;
  const settings = recordIn(module, 'settings');
  const { auth } = module; // from the credentials of the manifest
  return {
    type: typeOf(module['type']),
    config: {
      ...normalized(settings),
      ...(auth !== undefined && { auth }),
      ...(restartPolicy !== undefined && { restart_policy: restartPolicy }),
      ...(imagePullPolicy !== undefined && { imagePullPolicy }),
    },
    env: variables(module['env']),
  };
}

function typeOf(type: unknown): string {
  return typeof type === 'string' ? type : 'docker';
}

/** Settings with create options as an object: they may be JSON text, in a deployment in pieces. */
function normalized(settings: JsonRecord): JsonRecord {
  const isPiece = (key: string) => /^createOptions(\d\d)?$/.test(key);
  const others = Object.fromEntries(Object.entries(settings).filter(([key]) => !isPiece(key)));
  const { createOptions } = settings;
  if (isRecord(createOptions)) return { ...others, createOptions };
  const pieces = Object.keys(settings).filter(isPiece).toSorted();
  const text = pieces.map((key) => textOf(settings[key])).join('');
  if (text === '') return { ...others, createOptions: {} };
  return { ...others, createOptions: parsedOptions(text) };
}

function parsedOptions(text: string): JsonRecord {
  try {
    const options: unknown = JSON.parse(text);
    if (isRecord(options)) return options;
  } catch {
    // the parser's message quotes the text, which may hold secrets
  }
  return refuse('its createOptions are not the JSON of an object');
}

/** Variables as `{NAME: value}` or `{NAME: {value}}`. */
function variables(env: unknown): Readonly<Record<string, string>> {
  if (env === undefined || env === null) return {};
  if (Array.isArray(env)) return listedVariables(env);
  if (!isRecord(env)) refuse('its env is no object');
  return Object.fromEntries(
    Object.entries(env).map(([key, value]) => [
      key,
      valueOf(key, isRecord(value) ? value['value'] : value),
    ]),
  );
}

/** Variables as `[{key, value}]`. */
function listedVariables(env: unknown): Readonly<Record<string, string>> {
  if (env === undefined || env === null) return {};
  if (!Array.isArray(env)) return variables(env);
  return Object.fromEntries(
    env.map((one: unknown) => {
      const key = isRecord(one) ? one['key'] : undefined;
      if (!isRecord(one) || typeof key !== 'string') refuse('its env has an entry without a key');
      return [key, valueOf(key, one['value'])];
    }),
  );
}

function valueOf(key: string, value: unknown): string {
  if (typeof value === 'string') return value;
  if (typeof value === 'number' || typeof value === 'boolean') return String(value);
  if (value === undefined || value === null) return '';
  return refuse(`its variable ${quoted(key)} is not a text`);
}

function refuse(problem: string): never {
  throw new ServiceError('InvalidArgs', problem);
}
