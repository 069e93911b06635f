import { posix } from 'node:path';
import { oneOf, ServiceError } from '../../../errors.ts';
import type { ModuleName } from '../../../ids.ts';
import { quoted } from '../../../quoted.ts';
import { parseRestartPolicy, type RestartPolicy } from '../../supervisor/restart/restart-policy.ts';
import type { JsonObject, RegistryAuth } from '../engine/container-engine.ts';
import { parseAliases, parseStartAfter } from './common-settings.ts';
import { type ImagePullPolicy, parseImageDigest, parsePullPolicy } from './image-policy.ts';
import { engineRestartPolicy } from './restart-policy.ts';

/** The `docker` configuration of a module: `settings` in a ModuleSpec. */
export interface ModuleSettings {
  readonly image: string;
  /** The engine's create request as the user wrote it, without members that are null. */
  readonly createOptions: JsonObject;
  readonly auth: RegistryAuth | undefined;
  /** The demanded digest of the image at its registry (`sha256:…`); undefined accepts any. */
  readonly imageDigest?: string | undefined;
  /** Undefined is `on-create`. */
  readonly imagePullPolicy?: ImagePullPolicy | undefined;
  /** Undefined leaves it to the create options. */
  readonly restartPolicy?: RestartPolicy | undefined;
  /** The modules that start before it. */
  readonly startAfter?: readonly ModuleName[] | undefined;
  /** Names on the network besides its own and those of the create options. */
  readonly aliases?: readonly string[] | undefined;
}

// far above what any module needs: any caller reaches this, and each value delays all others
const mostValues = 4096;
const deepest = 32;
const settingKeys = [
  'image',
  'createOptions',
  'auth',
  'digest',
  'imagePullPolicy',
  'restart_policy',
  'start_after',
  'aliases',
];
const imagePattern = /^([$]upstream[:/])?[A-Za-z0-9][A-Za-z0-9._:/@-]{0,511}$/;

/** Settings from the text that a caller sent, or InvalidArgs. */
export function parseSettingsJson(text: string): ModuleSettings {
  return parseSettings(parseJson(text, 'the configuration of a module'));
}

/** Settings from a JSON value, or InvalidArgs. Create options may be an object or its JSON text. */
export function parseSettings(value: unknown): ModuleSettings {
  const settings = objectAt(value, 'the configuration of a module');
  checkKeys(settings, 'a setting of a module', settingKeys);
  const { image, createOptions, auth, digest, imagePullPolicy, ...common } = given(settings);
  const { restart_policy, start_after, aliases } = common;
  if (typeof image !== 'string') refuse('image is not a text');
  if (!isImage(image)) refuse(`image ${quoted(image)} is not an image reference`);
  return {
    image,
    createOptions: parseCreateOptions(createOptions),
    auth: parseAuth(auth),
    ...(digest !== undefined && { imageDigest: parseImageDigest(digest, image) }),
    ...(imagePullPolicy !== undefined && { imagePullPolicy: parsePullPolicy(imagePullPolicy) }),
    ...(restart_policy !== undefined && { restartPolicy: parseRestartPolicy(restart_policy) }),
    ...(start_after !== undefined && { startAfter: parseStartAfter(start_after) }),
    ...(aliases !== undefined && { aliases: parseAliases(aliases) }),
  };
}

/** The members that are not null: clients write null for unset ones. */
function given(object: JsonObject): JsonObject {
  return Object.fromEntries(Object.entries(object).filter(([, member]) => member !== null));
}

/** Settings in the form that `parseSettings` reads, without unset members. */
export function settingsJson(settings: ModuleSettings) {
  const { image, createOptions, auth, imageDigest, imagePullPolicy } = settings;
  const { restartPolicy, startAfter, aliases } = settings;
  return {
    image,
    createOptions,
    ...(auth !== undefined && { auth }),
    ...(imageDigest !== undefined && { digest: imageDigest }),
    ...(imagePullPolicy !== undefined && { imagePullPolicy }),
    ...(restartPolicy !== undefined && { restart_policy: restartPolicy }),
    ...(startAfter !== undefined && { start_after: startAfter }),
    ...(aliases !== undefined && { aliases }),
  };
}

/** When the module is restarted after it ended by itself. */
export function restartPolicyOf({ restartPolicy, createOptions }: ModuleSettings): RestartPolicy {
  return restartPolicy ?? engineRestartPolicy(createOptions) ?? 'always';
}

/** The settings of a module that its agent restarts: the runtime does so only if they have a restart policy. */
export function restartedByAgent(settings: ModuleSettings): ModuleSettings {
  const policy = settings.restartPolicy ?? engineRestartPolicy(settings.createOptions);
  return policy === undefined ? { ...settings, restartPolicy: 'never' } : settings;
}

/** The settings with which an agent replaces itself: what it cannot say stays as it is configured, who restarts it included. */
export function restartedByRuntime(
  settings: ModuleSettings,
  configured: ModuleSettings,
): ModuleSettings {
  const { startAfter, aliases } = configured;
  const restartPolicy = engineRestartPolicy(settings.createOptions) ?? restartPolicyOf(configured);
  return { ...settings, restartPolicy, startAfter, aliases };
}

/** Whether a text may be an image reference; the engine checks the rest. */
function isImage(text: string): boolean {
  return (
    imagePattern.test(text) && !text.split('/').some((part) => part === '' || /^\.+$/.test(part))
  );
}

function parseCreateOptions(value: unknown): JsonObject {
  if (value === undefined || value === null || value === '') return {};
  const parsed = typeof value === 'string' ? parseJson(value, 'createOptions') : value;
  const bounded = withoutNulls(objectAt(parsed, 'createOptions'), { values: mostValues }, deepest);
  const options = objectAt(bounded, 'createOptions');
  // in any case of letters that the engine accepts
  const lines = Object.keys(options).flatMap((key) =>
    /^env$/iu.test(key) ? memberArray(options, key) : [],
  );
  if (lines.some((line) => typeof line === 'string' && !isVariable(line))) {
    // the engine would quote the line when it refuses it
    refuse('createOptions.Env holds a line that is not a variable');
  }
  engineRestartPolicy(options); // throws for an unknown one
  return options;
}

function isVariable(line: string): boolean {
  return line !== '' && !line.startsWith('=') && !line.includes('\0');
}

/** Without members that are null: the engine's clients write null for unset ones. InvalidArgs for too deep or too many values. */
function withoutNulls(value: unknown, left: { values: number }, depth: number): unknown {
  if (--left.values < 0) refuse(`createOptions holds more than ${mostValues} values`);
  if (typeof value !== 'object' || value === null) return value;
  if (depth === 0) refuse('createOptions is nested too deeply');
  if (Array.isArray(value)) return value.map((item) => withoutNulls(item, left, depth - 1));
  const kept = Object.entries(value).filter(([, member]) => member !== null);
  return Object.fromEntries(
    kept.map(([key, member]) => [key, withoutNulls(member, left, depth - 1)]),
  );
}

function parseAuth(value: unknown): RegistryAuth | undefined {
  if (value === undefined || value === null) return undefined;
  const members = given(objectAt(value, 'auth'));
  checkKeys(members, 'a setting of auth', ['serveraddress', 'username', 'password', 'email']);
  const auth: Record<string, string> = {};
  for (const [key, member] of Object.entries(members)) {
    if (typeof member !== 'string') refuse(`auth.${key} is not a text`);
    auth[key] = member;
  }
  return auth;
}

function checkKeys(object: JsonObject, what: string, known: readonly string[]): void {
  for (const key of Object.keys(object)) oneOf(key, what, known);
}

function parseJson(text: string, what: string): unknown {
  try {
    return JSON.parse(text);
  } catch (cause) {
    // the parser's message quotes the text, which may contain a password
    throw new ServiceError('InvalidArgs', `${what} is not JSON`, {
      cause: cause instanceof Error ? cause.name : undefined,
    });
  }
}

/** The value as an object with own keys, or InvalidArgs. */
export function objectAt(value: unknown, what: string): JsonObject {
  if (!isObject(value)) refuse(`${what} is not a JSON object`);
  return value;
}

function isObject(value: unknown): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function refuse(message: string): never {
  throw new ServiceError('InvalidArgs', message);
}

/** The member of an object as an object, empty when it is not one. */
export function memberObject(object: JsonObject, key: string): JsonObject {
  const member = Object.hasOwn(object, key) ? object[key] : undefined;
  return isObject(member) ? member : {};
}

/** The member of an object as an array, empty when it is not one. */
export function memberArray(object: JsonObject, key: string): readonly unknown[] {
  const member = Object.hasOwn(object, key) ? object[key] : undefined;
  return Array.isArray(member) ? member : [];
}

/** The create options without the mounts whose source or target is one of these paths: the runtime adds those itself. */
export function withoutMountsOf(options: JsonObject, paths: ReadonlySet<string>): JsonObject {
  const hostConfig = memberObject(options, 'HostConfig');
  const binds = memberArray(hostConfig, 'Binds');
  const mounts = memberArray(hostConfig, 'Mounts');
  if (binds.length === 0 && mounts.length === 0) return options;
  const bindKept = (bind: unknown): boolean =>
    typeof bind !== 'string' ||
    !bind.split(':', 2).some((part) => paths.has(posix.normalize(part)));
  const mountKept = (mount: unknown): boolean =>
    !isObject(mount) ||
    ![mount['Source'], mount['Target']].some(
      (path) => typeof path === 'string' && paths.has(posix.normalize(path)),
    );
  const { Binds: _binds, Mounts: _mounts, ...rest } = hostConfig;
  return {
    ...options,
    HostConfig: {
      ...rest,
      ...(binds.length > 0 && { Binds: binds.filter(bindKept) }),
      ...(mounts.length > 0 && { Mounts: mounts.filter(mountKept) }),
    },
  };
}
