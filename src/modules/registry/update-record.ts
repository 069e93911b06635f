/** The parts of a module's record that an update needs. */
import type { ModuleName } from '../../ids.ts';
import { objectAt, parseSettings, settingsJson } from '../docker/create-options/create-options.ts';
import type { ModuleSource } from '../module-source.ts';
import {
  type Goal,
  goals,
  type Rejection,
  type SavedUpdate,
  updatePhases,
} from '../supervisor/desired-state.ts';

/** The persisted form of an update. */
export function updateJson({ other, proven, ...update }: SavedUpdate): object {
  return { ...update, other: sourceJson(other), proven: proven && sourceJson(proven) };
}

function sourceJson({ settings, env, elevated, base }: ModuleSource): object {
  return { settings: settingsJson(settings), env, elevated, base };
}

function sourceOf(value: unknown, name: ModuleName): ModuleSource {
  const { settings, env, elevated, base } = objectAt(value, 'the other configuration');
  const parsed = { name, settings: parseSettings(settings), env: envOf(env) };
  return { ...parsed, elevated: elevated === true, ...baseOf(base) };
}

/** The update of a module's record, if it has one; throws for a malformed one. */
export function updateOf(value: unknown, name: ModuleName): { readonly update?: SavedUpdate } {
  if (value === undefined) return {};
  const record = objectAt(value, 'update');
  const {
    phase: phaseName,
    previous: goal,
    digest,
    start,
    oldId,
    other,
    proven,
    triedDigest,
    badId,
    waits,
  } = record;
  const phase = updatePhases.find((known) => known === phaseName);
  const previous = goalOf(goal);
  if (phase === undefined || previous === undefined || typeof digest !== 'string') {
    throw new TypeError('its update is none');
  }
  const update = {
    phase,
    other: sourceOf(other, name),
    ...(proven !== undefined && { proven: sourceOf(proven, name) }),
    digest,
    previous,
    ...(typeof triedDigest === 'string' && { triedDigest }),
    ...(typeof start === 'boolean' && { start }),
    ...(typeof oldId === 'string' && { oldId }),
    ...(typeof badId === 'string' && { badId }),
    ...(typeof waits === 'number' && { waits }),
  };
  return { update };
}

/** The instances that earlier updates have left, if the record has any. */
export function formerOf(value: unknown): { readonly former?: readonly string[] } {
  if (value === undefined) return {};
  if (!Array.isArray(value)) throw new TypeError('former is no list');
  return { former: value.map(String) };
}

/** The configuration that was rolled back last, if the record has one. */
export function rejectionOf(value: unknown): { readonly rejected?: Rejection } {
  if (value === undefined) return {};
  const { digest, count, at, reason } = objectAt(value, 'rejected');
  if (typeof count !== 'number' || typeof at !== 'number') throw new TypeError('rejected is none');
  return { rejected: { digest: String(digest), count, at, reason: String(reason) } };
}

/** The digest of the configuration that an agent has replaced, if any. */
export function baseOf(value: unknown): Pick<ModuleSource, 'base'> {
  return typeof value === 'string' ? { base: value } : {};
}

/** A desired state, undefined for anything else. */
export function goalOf(value: unknown): Goal | undefined {
  return goals.find((known) => known === value);
}

/** The environment of a module; throws for a malformed one. */
export function envOf(value: unknown): Readonly<Record<string, string>> {
  const env = Object.entries(objectAt(value, 'env'));
  return Object.fromEntries(env.map(([key, text]) => [key, String(text)]));
}
