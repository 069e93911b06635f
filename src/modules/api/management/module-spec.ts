/** The ModuleSpec of a request. What is missing or of another type is 422, what cannot be run 400. */
import { ServiceError } from '../../../errors.ts';
import { type ModuleName, parseModuleName } from '../../../ids.ts';
import {
  type ModuleSettings,
  objectAt,
  parseSettings,
  restartedByAgent,
} from '../../docker/create-options/create-options.ts';
import { HttpProblem } from '../http/failure.ts';
import type { RouteBody } from '../http/route.ts';

/** A ModuleSpec as it was sent; its settings are not checked. */
export interface SentSpec {
  readonly name: string;
  readonly type: string;
  readonly imagePullPolicy: string | undefined;
  readonly settings: unknown;
  readonly env: readonly SentVariable[] | undefined;
}

interface SentVariable {
  readonly key: string;
  readonly value: string;
}

/** A module that can be run. */
export interface RunnableSpec {
  readonly name: ModuleName;
  readonly settings: ModuleSettings;
  readonly env: Readonly<Record<string, string>>;
}

/** Of a registry's account. */
const authKeys = ['serveraddress', 'username', 'password', 'email'];

/** The body of a request with a ModuleSpec. */
export const specBody: RouteBody = {
  check: (body) => void sentSpec(body),
  duplicateStatus: (path) => (path[0] === 'config' && path[1] === 'settings' ? 400 : 422),
};

/** The ModuleSpec in a body, or HttpProblem. */
export function sentSpec(body: unknown): SentSpec {
  const config = member(body, 'config');
  const settings = member(config, 'settings');
  if (settings === undefined) throw unprocessable('config.settings');
  return {
    name: textAt(body, 'name'),
    type: textAt(body, 'type'),
    imagePullPolicy: optional(body, 'imagePullPolicy') && textAt(body, 'imagePullPolicy'),
    settings,
    env: optional(config, 'env') && variables(member(config, 'env')),
  };
}

/**
 * The module of a specification, or InvalidArgs. Agents restart their modules themselves: without a policy in its create
 * options nothing else does.
 */
export function runnableSpec({
  name,
  type,
  settings,
  env = [],
  imagePullPolicy,
}: SentSpec): RunnableSpec {
  const module = parseModuleName(name);
  if (name.startsWith('$')) throw new ServiceError('InvalidArgs', 'name is a cloud id, not a name');
  if (type !== 'docker') throw new ServiceError('InvalidArgs', 'type is not "docker"');
  const { image, createOptions, auth, digest } = objectAt(settings, 'config.settings');
  const parsed = parseSettings({
    image,
    createOptions,
    auth: isObject(auth) ? picked(auth, authKeys) : auth,
    // agents write an empty one for none
    digest: digest === '' ? undefined : digest,
    imagePullPolicy,
  });
  return { name: module, settings: restartedByAgent(parsed), env: environment(env) };
}

function isObject(value: unknown): value is object {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** The members of an object that are known: clients send others. */
function picked(value: object, keys: readonly string[]): object {
  return Object.fromEntries(Object.entries(value).filter(([key]) => keys.includes(key)));
}

function environment(list: readonly SentVariable[]): Readonly<Record<string, string>> {
  const all = new Map<string, string>();
  for (const { key, value } of list) {
    if (key === '' || key.includes('=') || key.includes('\0') || value.includes('\0')) {
      throw new ServiceError('InvalidArgs', 'config.env has a key that is not a variable name');
    }
    if (all.has(key)) throw new ServiceError('InvalidArgs', 'config.env has a variable twice');
    all.set(key, value);
  }
  return Object.fromEntries(all);
}

function variables(list: unknown): readonly SentVariable[] {
  if (!Array.isArray(list)) throw unprocessable('config.env');
  return list.map((one) => ({ key: textAt(one, 'key'), value: textAt(one, 'value') }));
}

/** Whether a member that may be left out or null is there. */
function optional(body: unknown, key: string): true | undefined {
  const value = member(body, key);
  return value === undefined || value === null ? undefined : true;
}

function textAt(body: unknown, key: string): string {
  const value = member(body, key);
  if (typeof value !== 'string') throw unprocessable(key);
  return value;
}

function member(body: unknown, key: string): unknown {
  return isObject(body) ? Object.getOwnPropertyDescriptor(body, key)?.value : undefined;
}

function unprocessable(key: string): HttpProblem {
  return new HttpProblem(422, `the body has no ${key}, or one of another type`);
}
