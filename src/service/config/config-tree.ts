/** The trees of configuration files: merging, conversion to values, and the positions of settings. */
import { withoutSecrets } from '../../quoted.ts';
import { formatPath, type Position, type Problem, type SettingPath } from './config-problem.ts';
import type { Explanation } from './schema-errors.ts';
import { property, textValues } from './schema-keys.ts';
import type { ConfigNode, MapEntry } from './yaml.ts';

/** Merges one tree over another: maps merge, everything else replaces. */
export function mergeNodes(base: ConfigNode, over: ConfigNode): ConfigNode {
  if (base.kind !== 'map' || over.kind !== 'map') return over;
  const entries = new Map<string, MapEntry>(base.entries);
  for (const [key, entry] of over.entries) {
    const before = entries.get(key);
    entries.set(key, before ? { ...entry, node: mergeNodes(before.node, entry.node) } : entry);
  }
  return { kind: 'map', at: over.at, entries };
}

/** The value of a node; in a map with `textValues` in its schema, members are texts as written. */
export function valueOf(node: ConfigNode, schema: unknown): unknown {
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

/** A scalar as written, except null. */
function textOf(node: ConfigNode): unknown {
  if (node.kind !== 'scalar' || node.value === null) return valueOf(node, undefined);
  return typeof node.value === 'string' ? node.value : node.text;
}

/** Every key and value below a node, with its position. */
export function* textsIn(
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

/** The node at a path, with the position of its key; undefined when there is none. */
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

/** The problem for an explanation, at the position of its setting, or of the nearest setting around it. */
export function place(root: ConfigNode, explanation: Explanation): Problem {
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
