/**
 * Configuration: `<dir>/<service>.yaml`, then `<dir>/<service>.d/*.yaml` in the order of their names. Maps
 * merge, everything else replaces. All problems are reported at once, each with its position.
 */
import { join } from 'node:path';
import type { ServiceDefinition } from '../../dbus/definition.ts';
import { describeError } from '../../errors.ts';
import { withoutSecrets } from '../../quoted.ts';
import { type Accounts, SystemAccounts } from '../accounts.ts';
import { unknownNames } from './acl-names.ts';
import type { CommonConfig } from './common-config.ts';
import { readConfigFiles, type SourceFile } from './config-files.ts';
import { ConfigError, formatPath, type Problem, type SettingPath } from './config-problem.ts';
import { mergeNodes, place, textsIn, valueOf } from './config-tree.ts';
import type { ParseContext } from './parse-context.ts';
import { ruleWarnings } from './rule-warnings.ts';
import { explain } from './schema-errors.ts';
import { compile, type Schema } from './schema-validator.ts';
import type { ConfigNode } from './yaml.ts';

/** The source of a configuration, and its validation. */
export interface ConfigSource<T extends Pick<CommonConfig, 'authorization' | 'grants'>> {
  readonly dir: string;
  /** `keys` for `keys.yaml` and `keys.d`. */
  readonly service: string;
  readonly schema: Schema;
  /**
   * Checks what a schema cannot express and returns the typed value; an error that it throws is reported as a problem.
   */
  readonly parse: (value: unknown, context: ParseContext) => T;
  /** Notified of warnings: settings that are valid but may be mistakes. */
  readonly warn?: (warning: Problem) => void;
  /** Where the users and groups of rules are looked up. */
  readonly accounts?: Accounts;
  /** The actions that rules may name. */
  readonly definition?: ServiceDefinition;
}

/** A configuration and the positions of its settings. */
export interface PlacedConfig<T> {
  readonly config: T;
  /** Every file that was read, in order. */
  readonly sources: readonly SourceFile[];
  /** Of the files, as `readConfigFiles` defines it: `Describe` shows the one in force to root. */
  readonly digest: string;
  /** A problem of a setting that only the other services' files reveal. */
  readonly problemAt: (path: SettingPath, message: string) => Problem;
}

/** The configuration without the positions of its settings. Throws `ConfigError` with all problems. */
export async function loadConfig<T extends Pick<CommonConfig, 'authorization' | 'grants'>>(
  source: ConfigSource<T>,
): Promise<T> {
  return (await placedConfig(source)).config;
}

/** The configuration, frozen, with the positions of its settings. Throws `ConfigError` with all problems. */
export async function placedConfig<T extends Pick<CommonConfig, 'authorization' | 'grants'>>(
  source: ConfigSource<T>,
): Promise<PlacedConfig<T>> {
  const { sources, documents, problems, digest } = await readConfigFiles(
    source.dir,
    source.service,
  );
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
    ...(definition === undefined ? [] : ruleWarnings(config, definition)),
  ]) {
    source.warn?.(place(root, { path, about: 'value', message }));
  }
  const problemAt: PlacedConfig<T>['problemAt'] = (path, message) =>
    place(root, { path, about: 'value', message });
  return { config, sources, digest, problemAt };
}

/** A user who can write a configuration controls the service. */
function openToAll({ path: file, mode }: SourceFile): readonly Problem[] {
  if ((mode & 0o002) === 0) return [];
  return [{ file, line: 1, column: 1, path: '', message: 'everybody can write it: chmod o-w' }];
}

/** The files, each separately and merged. */
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

function deepFreeze<T>(value: T): T {
  if (typeof value !== 'object' || value === null || Object.isFrozen(value)) return value;
  if (ArrayBuffer.isView(value)) return value;
  Object.freeze(value);
  for (const inner of Object.values(value)) deepFreeze(inner);
  return value;
}
