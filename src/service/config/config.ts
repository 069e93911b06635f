/**
 * Configuration: `<dir>/<service>.yaml`, then `<dir>/<service>.d/*.yaml` in the order of their names. Maps
 * merge, everything else replaces. Everything that is wrong is reported at once, with the place where it stands.
 */
import { join } from 'node:path';
import type { ServiceDefinition } from '../../dbus/definition.ts';
import { describeError } from '../../errors.ts';
import { withoutSecrets } from '../../quoted.ts';
import { type Accounts, SystemAccounts } from '../accounts.ts';
import { unknownNames } from './acl-names.ts';
import type { CommonConfig } from './common-config.ts';
import { readConfigFiles, type SourceFile } from './config-files.ts';
import {
  ConfigError,
  formatPath,
  type Position,
  type Problem,
  type SettingPath,
} from './config-problem.ts';
import { uselessWords } from './rule-words.ts';
import { type Explanation, explain } from './schema-errors.ts';
import { property } from './schema-keys.ts';
import { type Schema, textValues } from './schema-options.ts';
import { compile } from './schema-validator.ts';
import type { ConfigNode, MapEntry } from './yaml.ts';

export { type CommonConfig, commonProperties, serviceUsers } from './common-config.ts';
export type { SourceFile } from './config-files.ts';
export { ConfigError, formatProblem, type Problem, type SettingPath } from './config-problem.ts';
export type { Schema } from './schema-options.ts';

/** What `parse` may ask and say beyond the value itself. */
export interface ParseContext {
  /** Every file that was read, in order. */
  readonly sources: readonly SourceFile[];
  /** Adds a problem for each key and value that is wrong in its file, also for what a later file overrides. */
  reportTexts(isWrong: (text: string, source: SourceFile) => boolean, message: string): void;
  /** Adds a problem, placed where the setting stands, or the nearest setting around it. */
  report(path: SettingPath, message: string): void;
  /** Says what is not wrong with a file and should be known all the same. */
  warn(source: SourceFile, message: string): void;
  /** The same of a setting. */
  warnAt(path: SettingPath, message: string): void;
}

/** Where a configuration is and what it must look like. */
export interface ConfigSource<T extends Pick<CommonConfig, 'authorization' | 'grants'>> {
  readonly dir: string;
  /** `keys` for `keys.yaml` and `keys.d`. */
  readonly service: string;
  readonly schema: Schema;
  /** Checks what a schema cannot say and gives the value its type; what it throws is a problem too. */
  readonly parse: (value: unknown, context: ParseContext) => T;
  /** Is told what is not wrong and should be known all the same. */
  readonly warn?: (warning: Problem) => void;
  /** Where the users and groups of rules are looked up. */
  readonly accounts?: Accounts;
  /** What rules are about. */
  readonly definition?: ServiceDefinition;
}

/** A configuration and where its settings stand. */
export interface PlacedConfig<T> {
  readonly config: T;
  /** Every file that was read, in order. */
  readonly sources: readonly SourceFile[];
  /** Something about a setting that only other files show. */
  readonly problemAt: (path: SettingPath, message: string) => Problem;
}

/** The configuration, frozen. Throws `ConfigError` with everything that is wrong. */
export async function loadConfig<T extends Pick<CommonConfig, 'authorization' | 'grants'>>(
  source: ConfigSource<T>,
): Promise<T> {
  return (await placedConfig(source)).config;
}

/** As `loadConfig`, with the places of settings. */
export async function placedConfig<T extends Pick<CommonConfig, 'authorization' | 'grants'>>(
  source: ConfigSource<T>,
): Promise<PlacedConfig<T>> {
  const { sources, documents, problems } = await readConfigFiles(source.dir, source.service);
  const start = { file: join(source.dir, `${source.service}.yaml`), line: 1, column: 1 };
  const root = documents.reduce(mergeNodes, { kind: 'map', at: start, entries: new Map() });
  const value = valueOf(root, source.schema);
  const explanations = explain(compile(source.schema)(value), source.schema, value);
  throwIfAny([
    ...problems,
    ...sources.flatMap(openToAll),
    ...explanations.map((explanation) => place(root, explanation)),
  ]);
  const config = deepFreeze(parse(source, value, { root, sources, documents }));
  const { accounts = new SystemAccounts({ getent: true }) } = source;
  const { definition } = source;
  for (const { path, message } of [
    ...(await unknownNames(config, accounts)),
    ...(definition === undefined ? [] : uselessWords(config, definition)),
  ]) {
    source.warn?.(place(root, { path, about: 'value', message }));
  }
  const problemAt: PlacedConfig<T>['problemAt'] = (path, message) =>
    place(root, { path, about: 'value', message });
  return { config, sources, problemAt };
}

/** Whoever can write a configuration is the service. */
function openToAll({ path: file, mode }: SourceFile): readonly Problem[] {
  if ((mode & 0o002) === 0) return [];
  return [{ file, line: 1, column: 1, path: '', message: 'everybody can write it: chmod o-w' }];
}

/** The files, each alone and merged. */
interface ReadFiles {
  readonly root: ConfigNode;
  readonly sources: readonly SourceFile[];
  readonly documents: readonly ConfigNode[];
}

function parse<T extends Pick<CommonConfig, 'authorization' | 'grants'>>(
  source: ConfigSource<T>,
  value: unknown,
  { root, sources, documents }: ReadFiles,
): T {
  const found: Problem[] = [];
  const report: ParseContext['report'] = (path, message) => {
    found.push(place(root, { path, about: 'value', message }));
  };
  const reportTexts: ParseContext['reportTexts'] = (isWrong, message) => {
    for (const { text, at, path } of documents.flatMap((document) => [...textsIn(document, [])])) {
      const file = sources.find((one) => one.path === at.file);
      if (file === undefined || !isWrong(text, file)) continue;
      found.push({ ...at, path: formatPath(path), message });
    }
  };
  const warn: ParseContext['warn'] = ({ path: file }, message) => {
    source.warn?.({ file, line: 1, column: 1, path: '', message: withoutSecrets(message) });
  };
  const warnAt: ParseContext['warnAt'] = (path, message) => {
    source.warn?.(place(root, { path, about: 'value', message }));
  };
  try {
    const parsed = source.parse(value, { sources, reportTexts, report, warn, warnAt });
    throwIfAny(found);
    return parsed;
  } catch (error) {
    if (error instanceof ConfigError) throw error;
    report([], describeError(error));
    throw byPlace(found);
  }
}

function throwIfAny(problems: readonly Problem[]): void {
  if (problems.length > 0) throw byPlace(problems);
}

function byPlace(problems: readonly Problem[]): ConfigError {
  const files = [...new Set(problems.map(({ file }) => file))];
  const order = ({ file, line, column }: Problem) =>
    files.indexOf(file) * 1e12 + line * 1e6 + column;
  return new ConfigError([...problems].sort((left, right) => order(left) - order(right)));
}

function mergeNodes(base: ConfigNode, over: ConfigNode): ConfigNode {
  if (base.kind !== 'map' || over.kind !== 'map') return over;
  const entries = new Map<string, MapEntry>(base.entries);
  for (const [key, entry] of over.entries) {
    const before = entries.get(key);
    entries.set(key, before ? { ...entry, node: mergeNodes(before.node, entry.node) } : entry);
  }
  return { kind: 'map', at: over.at, entries };
}

function valueOf(node: ConfigNode, schema: unknown): unknown {
  switch (node.kind) {
    case 'scalar':
      return node.value;
    case 'list':
      return node.items.map((item) => valueOf(item, undefined));
    case 'map':
      return Object.fromEntries(
        [...node.entries].map(([key, { node: member }]) => {
          if (property(schema, textValues) === true) return [key, textOf(member)];
          return [key, valueOf(member, property(property(schema, 'properties'), key))];
        }),
      );
  }
}

/** A scalar as it is written, but for the absence of one. */
function textOf(node: ConfigNode): unknown {
  if (node.kind !== 'scalar' || node.value === null) return valueOf(node, undefined);
  return typeof node.value === 'string' ? node.value : node.text;
}

/** Every key and value below a node, and where it stands. */
function* textsIn(
  node: ConfigNode,
  path: SettingPath,
): Generator<{ readonly text: string; readonly at: Position; readonly path: SettingPath }> {
  if (node.kind === 'scalar') yield { text: String(node.value), at: node.at, path };
  else if (node.kind === 'list') {
    for (const [at, item] of node.items.entries()) yield* textsIn(item, [...path, at]);
  } else {
    for (const [key, entry] of node.entries) {
      yield { text: key, at: entry.at, path: [...path, key] };
      yield* textsIn(entry.node, [...path, key]);
    }
  }
}

/** The node at a path, with the place of its key; undefined when the path leads nowhere. */
function find(root: ConfigNode, path: SettingPath): MapEntry | undefined {
  let entry: MapEntry | undefined = { at: root.at, node: root };
  for (const step of path) {
    if (entry?.node.kind === 'map') entry = entry.node.entries.get(String(step));
    else if (entry?.node.kind === 'list' && typeof step === 'number') {
      const item: ConfigNode | undefined = entry.node.items[step];
      entry = item && { at: item.at, node: item };
    } else return undefined;
  }
  return entry;
}

function place(root: ConfigNode, explanation: Explanation): Problem {
  const { path, about, message, suggestion } = explanation;
  let at: Position = root.at;
  for (let length = path.length; length >= 0; length--) {
    const entry = find(root, path.slice(0, length));
    if (entry === undefined) continue;
    const whole = length === path.length && about === 'value' && entry.node.kind === 'scalar';
    at = whole ? entry.node.at : entry.at;
    break;
  }
  return {
    ...at,
    path: formatPath(path),
    message: withoutSecrets(message),
    ...(suggestion !== undefined && { suggestion }),
  };
}

function deepFreeze<T>(value: T): T {
  if (typeof value !== 'object' || value === null || Object.isFrozen(value)) return value;
  if (ArrayBuffer.isView(value)) return value;
  Object.freeze(value);
  for (const inner of Object.values(value)) deepFreeze(inner);
  return value;
}
