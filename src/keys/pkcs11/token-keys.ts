import { isId, type KeyId, parseKeyId } from '../../ids.ts';
import { UnusableFile } from '../../service/state/state-file.ts';
import { isPairAlgorithm, isSymmetricAlgorithm, type Usage } from '../algorithm.ts';
import type { ObjectSelector } from '../config/pkcs11-uri.ts';
import type { Ignored, KeyInfo } from '../store.ts';
import { type KeyObject, readKeys } from './reading/objects.ts';
import { notOffered, type ProofReading } from './reading/proofs.ts';
import { findAllHalves } from './reading/public-halves.ts';
import type { ObjectView } from './reading/token-view.ts';
import type { TokenKeyRecord, TokenKeyRecords } from './records.ts';
import { isBaseKey } from './templates.ts';

/** A key and its object in the token. */
export interface TokenKey {
  readonly info: KeyInfo;
  /** Undefined when no single object is this key. */
  readonly object: KeyObject | undefined;
}

/** Information about keys besides that in the token. */
export interface KeyMetadata {
  readonly records: TokenKeyRecords;
  /** The configured usages. */
  readonly usages: ReadonlyMap<KeyId, readonly Usage[]>;
  /** Why an object is not published under its label: the configuration reserves the object, or the label. */
  readonly reserved: (object: KeyObject) => string | undefined;
}

/** Everything besides the token that is needed to read its keys. */
export interface ReadContext {
  readonly metadata: KeyMetadata;
  readonly proofs: ProofReading;
}

const unrecordedBaseKey =
  'its CKA_ID says that it is a base key, and neither a record nor the configuration does: restore the record, configure usage derive, or delete the key';

/** Whether a selector matches an object. */
export function isObjectSelected(object: KeyObject, selector: ObjectSelector): boolean {
  const type = object.kind === 'pair' ? 'private' : 'secret-key';
  return (
    (selector.object === undefined || selector.object === object.label) &&
    (selector.id === undefined || selector.id.equals(object.ckaId)) &&
    (selector.type === undefined || selector.type === type)
  );
}

/** Reads the key that a configured URI selects; unavailable unless exactly one object matches. */
export function preloadedKey(
  view: ObjectView,
  id: KeyId,
  options: {
    readonly selector: ObjectSelector;
    readonly usages: readonly Usage[] | undefined;
    readonly proofs: ProofReading;
  },
): TokenKey {
  const objects = readKeys(view, options.selector, options.proofs);
  const [object] = objects;
  if (object === undefined || objects.length > 1) {
    return unavailable(id, `${objects.length} keys of the token match its URI`);
  }
  return keyOf(id, object, { usages: options.usages, record: undefined, origin: 'preloaded' });
}

/** A key whose token or object is unreadable; without `known` a preloaded one. */
export function unavailable(id: KeyId, reason: string, known?: KeyInfo): TokenKey {
  const blank: KeyInfo = {
    id,
    kind: 'pair',
    algorithm: undefined,
    usages: [],
    store: 'pkcs11',
    origin: 'preloaded',
    exportable: false,
    exportDerived: false,
    state: 'unavailable',
    created: undefined,
    spki: undefined,
  };
  return { info: { ...(known ?? blank), state: 'unavailable', reason }, object: undefined };
}

/** The objects with a label, and which of them is the key with that id. */
export interface Labelled {
  readonly key: TokenKey | undefined;
  /** Why none of the objects is the key. */
  readonly reason: string | undefined;
  readonly objects: readonly KeyObject[];
}

/** Reads the objects whose label is an id. */
export function lookUp(view: ObjectView, id: KeyId, { metadata, proofs }: ReadContext): Labelled {
  return choose(id, readKeys(view, { object: id }, proofs), metadata);
}

/** Reads all keys of the token. */
export function listAll(
  view: ObjectView,
  { metadata, proofs }: ReadContext,
): { readonly keys: readonly TokenKey[]; readonly ignored: readonly Ignored[] } {
  findAllHalves(view);
  const byLabel = new Map<string, KeyObject[]>();
  for (const object of readKeys(view, {}, proofs)) {
    const same = byLabel.get(object.label);
    if (same === undefined) byLabel.set(object.label, [object]);
    else same.push(object);
  }
  const keys: TokenKey[] = [];
  const ignored: Ignored[] = [];
  for (const [label, objects] of byLabel) {
    if (!isId(label)) {
      ignored.push({ label, reason: 'its label is not a key id' });
      continue;
    }
    const { key, reason } = choose(parseKeyId(label), objects, metadata);
    if (key !== undefined) keys.push(key);
    if (reason !== undefined) ignored.push({ label, reason });
  }
  for (const [label, { message }] of metadata.records.damaged) {
    if (!byLabel.has(label)) ignored.push({ label, reason: message });
  }
  return { keys, ignored };
}

function choose(id: KeyId, objects: readonly KeyObject[], metadata: KeyMetadata): Labelled {
  const none = (reason: string | undefined): Labelled => ({ key: undefined, reason, objects });
  const record = metadata.records.get(id);
  const own = record && objects.find(({ ckaId }) => ckaId.toString('hex') === record.ckaId);
  // both exist while one key replaces another: the new one counts as soon as it exists
  const replaced = own === undefined ? undefined : record?.pending?.replaces;
  const candidates = objects.filter(
    (object) => object === own || object.ckaId.toString('hex') !== replaced,
  );
  const [object, ...others] = candidates;
  if (object === undefined) return none(undefined);
  if (others.length > 0) return none(`${candidates.length} keys have this label`);
  const reserved = metadata.reserved(object);
  if (reserved !== undefined) return none(reserved);
  const problem = object.problem ?? (object.algorithm === undefined ? notOffered : undefined);
  if (problem === notOffered) return none(problem);
  const known = own === undefined ? record?.pending?.previous : record;
  const made = known?.ckaId === object.ckaId.toString('hex') ? known : undefined;
  const key = keyOf(id, object, {
    usages: metadata.usages.get(id),
    record: made,
    origin: made?.origin ?? 'foreign',
  });
  const damage = metadata.records.damage(id);
  if (damage === undefined) return { key, reason: undefined, objects };
  const state = damage instanceof UnusableFile ? 'unavailable' : 'damaged';
  const info = { ...key.info, state, reason: damage.message } as const;
  return { key: { ...key, info }, reason: undefined, objects };
}

function keyOf(
  id: KeyId,
  object: KeyObject,
  options: {
    readonly usages: readonly Usage[] | undefined;
    readonly record: TokenKeyRecord | undefined;
    readonly origin: KeyInfo['origin'];
  },
): TokenKey {
  const { record, origin } = options;
  const configured = options.usages?.filter((usage) => usage === 'derive' || allows(object, usage));
  const usages = record?.usages ?? configured ?? object.usages;
  // a base key is a generic secret for HMAC, whatever is derived from it
  const generic = object.kind === 'symmetric' && usages.includes('encrypt');
  const derived = generic && usages.includes('derive') ? 'aes-256' : object.algorithm;
  const info: KeyInfo = {
    id,
    kind: object.kind,
    algorithm: record?.algorithm ?? derived,
    usages,
    store: 'pkcs11',
    origin,
    exportable: false,
    exportDerived: record?.exportDerived ?? false,
    state: 'ok',
    created: record?.created,
    spki: object.spki,
  };
  if (isBaseKey(object.ckaId) && !usages.includes('derive')) {
    return { info: { ...info, state: 'damaged', reason: unrecordedBaseKey }, object };
  }
  const canMac = object.algorithm === 'hmac-sha256' && object.usages.includes('sign');
  if (usages.includes('derive') && !canMac) {
    const reason = 'only a generic secret that can sign can be a base key';
    return { ...unavailable(id, reason, info), object };
  }
  const { algorithm } = info;
  const usable =
    object.kind === 'pair'
      ? algorithm !== undefined && isPairAlgorithm(algorithm) && info.spki !== undefined
      : algorithm !== undefined && isSymmetricAlgorithm(algorithm);
  if (usable) return { info, object };
  return { ...unavailable(id, object.problem ?? notOffered, info), object };
}

/** Whether the attributes of an object permit a usage; `encrypt` also for a base key, which only needs to MAC. */
function allows(object: KeyObject, usage: Usage): boolean {
  if (object.usages.includes(usage)) return true;
  return usage === 'encrypt' && object.algorithm === 'hmac-sha256';
}
