import type { InstanceEnd } from '../../../supervisor/module-type.ts';
import { moduleLabel, owner, ownerLabel } from '../../labels.ts';

/** An event about a container. */
export interface EngineEvent {
  /** The container's id. */
  readonly id: string;
  readonly isOurs: boolean;
  /** Its names, of one that was renamed both; none in an event of a network. */
  readonly names: readonly string[];
  readonly isRemoval: boolean;
  /** Of an event that reports the end of its main process. */
  readonly end?: Pick<InstanceEnd, 'exitCode' | 'at'>;
  /** Whether a client sent it a signal, or requested that it starts. */
  readonly request?: 'end' | 'start' | undefined;
  /** The signal that it was sent; undefined when the engine does not say. */
  readonly signal?: number;
}

/** A container as a list shows it. */
export interface ContainerSummary {
  readonly name: string;
  /** In the engine's words; `` when it changed since the list. */
  readonly state: string;
}

/** The container that an event of the engine is about, undefined when there is none. */
export function eventOf(event: object): EngineEvent | undefined {
  const actor = objectIn(event, 'Actor');
  const attributes = objectIn(actor, 'Attributes');
  const action = textIn(event, 'Action');
  if (textIn(event, 'Type') === 'network') {
    const id = textIn(attributes, 'container');
    return id === undefined ? undefined : { id, isOurs: true, names: [], isRemoval: false };
  }
  const id = textIn(actor, 'ID');
  if (id === undefined) return undefined;
  const names = ['name', 'oldName'].flatMap((key) => textIn(attributes, key) ?? []);
  const signal = action === 'kill' ? signalOf(textIn(attributes, 'signal')) : undefined;
  const end = action === 'die' ? endOf(event, textIn(attributes, 'exitCode')) : undefined;
  return {
    id,
    isOurs:
      textIn(attributes, ownerLabel) === owner && textIn(attributes, moduleLabel) !== undefined,
    names: names.map((name) => name.replace(/^\//, '')),
    isRemoval: action === 'destroy',
    ...(end && { end }),
    ...(signal !== undefined && { signal }),
    request: action === 'kill' ? 'end' : action === 'start' ? 'start' : undefined,
  };
}

function endOf(event: object, text = ''): EngineEvent['end'] {
  if (!/^\d{1,9}$/.test(text)) return undefined;
  const nanoseconds = memberOf(event, 'timeNano');
  const at = typeof nanoseconds === 'number' ? new Date(Math.floor(nanoseconds / 1e6)) : undefined;
  return { exitCode: Number(text), at };
}

function signalOf(text = ''): number | undefined {
  return /^[1-9]\d?$/.test(text) ? Number(text) : undefined;
}

/** The time of an event, in seconds since the epoch. */
export function secondsOf(event: object): number | undefined {
  const seconds = memberOf(event, 'time');
  return typeof seconds === 'number' && Number.isSafeInteger(seconds) ? seconds : undefined;
}

/** The names of the containers that were made, removed or changed between two lists by id. */
export function changedNames(
  before: ReadonlyMap<string, ContainerSummary>,
  after: ReadonlyMap<string, ContainerSummary>,
): readonly string[] {
  const changed = [...after].filter(([id, { name, state }]) => {
    const known = before.get(id);
    return known?.name !== name || known.state !== state;
  });
  const removed = [...before].filter(([id]) => !after.has(id));
  return [...changed, ...removed].map(([, { name }]) => name);
}

function textIn(value: object, key: string): string | undefined {
  const member = memberOf(value, key);
  return typeof member === 'string' ? member : undefined;
}

function objectIn(value: object, key: string): object {
  const member = memberOf(value, key);
  return typeof member === 'object' && member !== null ? member : {};
}

function memberOf(value: object, key: string): unknown {
  return new Map<string, unknown>(Object.entries(value)).get(key);
}
