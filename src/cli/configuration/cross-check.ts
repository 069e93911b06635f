/** Checks across the files of all four services: ids that none of them creates, missing grants, shared directories. */
import type { CertificatesConfig } from '../../certificates/config/config.ts';
import { keyIdOf } from '../../certificates/config/issuer-settings.ts';
import { idGlobMatches } from '../../glob.ts';
import { reservedPrefix } from '../../ids.ts';
import type { ModulesConfig } from '../../modules/config/config.ts';
import type { PlacedConfig } from '../../service/config/config.ts';
import type { Problem, SettingPath } from '../../service/config/config-problem.ts';
import type { Configurations } from './configurations.ts';
import { type KeyUse, missingGrant, type UidOf } from './missing-grants.ts';
import { misplaced, unreachablePublishing } from './state-place.ts';

/** Definite problems, and possible ones. */
export interface CrossFindings {
  readonly problems: readonly Problem[];
  readonly warnings: readonly Problem[];
}

/** An id in a setting of one file that refers to an object of another service. */
interface Reference {
  readonly kind: 'key' | 'certificate';
  readonly id: string;
  readonly place: (message: string) => Problem;
  /** It may be created later: a request for a certificate creates its key. */
  readonly isFuture?: boolean;
}

/** Checks the files against one another. */
export function crossCheck(all: Configurations, uidOf: UidOf): CrossFindings {
  const unknown = [...referencesOf(all)].filter((one) => isUnknown(one, all));
  const found = unknown.map((one) => ({ one, problem: one.place(unknownText(one)) }));
  // a missing file defines no ids, but its service may still have some
  const isSure = ({ one: { kind, isFuture = false } }: { readonly one: Reference }): boolean =>
    !isFuture && ((kind === 'key' ? all.keys : all.certificates)?.sources.length ?? 0) > 0;
  const sure = found.filter(isSure).map(({ problem }) => problem);
  const unsure = found.filter((one) => !isSure(one)).map(({ problem }) => problem);
  const missing = [...usesOf(all)].flatMap((use) => missingGrant(use, all.keys, uidOf));
  const hasKeys = (all.keys?.sources.length ?? 0) > 0;
  return {
    problems: [
      ...sure,
      ...(hasKeys ? missing : []),
      ...misplaced(all),
      ...unreachablePublishing(all),
    ],
    warnings: [...unsure, ...(hasKeys ? [] : missing)],
  };
}

function* referencesOf(all: Configurations): Generator<Reference> {
  const { identity, modules, certificates } = all;
  const { dps } = identity?.config ?? {};
  if (identity !== undefined && dps !== undefined) {
    const at = (name: string) => placeIn(identity, ['provisioning', 'attestation', name]);
    if (dps.certificateId !== undefined) {
      yield { kind: 'certificate', id: dps.certificateId, place: at('identity_cert') };
    }
    yield { kind: 'key', id: dps.keyId, place: at('identity_pk') };
  }
  if (modules !== undefined) yield* modulesReferences(modules);
  if (certificates !== undefined) yield* certificatesReferences(certificates);
}

function* modulesReferences(modules: PlacedConfig<ModulesConfig>): Generator<Reference> {
  const { deviceCa, deviceCaKey, trustedCas } = modules.config;
  const at = (...path: SettingPath) => placeIn(modules, ['certificates', ...path]);
  if (deviceCa !== undefined) {
    yield { kind: 'certificate', id: deviceCa, place: at('device_ca_cert') };
  }
  if (deviceCaKey !== undefined) yield { kind: 'key', id: deviceCaKey, place: at('device_ca_pk') };
  for (const [index, reference] of trustedCas.entries()) {
    if (reference.kind !== 'id') continue;
    yield { kind: 'certificate', id: reference.id, place: at('trusted_ca_certs', index) };
  }
}

function* certificatesReferences(
  certificates: PlacedConfig<CertificatesConfig>,
): Generator<Reference> {
  const { preloaded, trust_bundle: bundle, issuers, certificates: rules } = certificates.config;
  const at = (...path: SettingPath) => placeIn(certificates, path);
  for (const [id, sources] of Object.entries(preloaded)) {
    for (const source of sources) {
      if (source.kind !== 'certificate') continue;
      yield { kind: 'certificate', id: source.id, place: at(`preloaded_cert:${id}`) };
    }
  }
  for (const [index, id] of bundle.entries()) {
    yield { kind: 'certificate', id, place: at('trust_bundle', index) };
  }
  for (const [name, issuer] of Object.entries(issuers)) {
    const id = keyIdOf(issuer);
    if (id !== undefined) yield { kind: 'key', id, place: at('issuers', name, 'key_id') };
  }
  for (const [name, { method = 'local_ca', issuer: id }] of Object.entries(rules)) {
    if (method !== 'local_ca' || id === undefined) continue;
    yield { kind: 'certificate', id, place: at('certificates', name, 'issuer') };
  }
  for (const [name, { key_id: id }] of Object.entries(rules)) {
    if (id === undefined) continue;
    yield { kind: 'key', id, isFuture: true, place: at('certificates', name, 'key_id') };
  }
  for (const { id, path } of clientCertificatesOf(certificates.config)) {
    yield { kind: 'certificate', id, place: at(...path) };
  }
}

/** The certificates that prove the device to EST servers. */
function* clientCertificatesOf({
  issuers,
  certificates: rules,
}: CertificatesConfig): Generator<{ readonly id: string; readonly path: SettingPath }> {
  for (const [name, issuer] of Object.entries(issuers)) {
    if (issuer.method !== 'est') continue;
    for (const setting of ['identity', 'bootstrap'] as const) {
      const id = issuer[setting];
      if (id !== undefined) yield { id, path: ['issuers', name, setting] };
    }
  }
  for (const [name, { bootstrap: id }] of Object.entries(rules)) {
    if (id !== undefined) yield { id, path: ['certificates', name, 'bootstrap'] };
  }
}

/** Reports at the position of a setting, or of one around it. */
function placeIn(file: PlacedConfig<unknown>, path: SettingPath): Reference['place'] {
  return (message) => file.problemAt(path, message);
}

function isUnknown({ kind, id }: Reference, { keys, certificates }: Configurations): boolean {
  // the services create the reserved ids themselves
  if (id === '' || id.startsWith(reservedPrefix)) return false;
  if (kind === 'key') {
    if (keys === undefined) return false;
    const { preloaded, keys: described } = keys.config;
    return !Object.hasOwn(preloaded, id) && !Object.hasOwn(described, id);
  }
  if (certificates === undefined) return false;
  const { preloaded, certificates: rules, issuers } = certificates.config;
  const isCreated = Object.keys(rules).some((glob) => idGlobMatches(glob, id));
  return !Object.hasOwn(preloaded, id) && !isCreated && !Object.hasOwn(issuers, id);
}

function unknownText({ kind, id }: Reference): string {
  const name = `"${id}"`;
  if (kind === 'key') {
    return `no file makes or preloads the key ${name}: write 'preloaded_key:${id}' in keys.yaml, or name it under keys there when it is made otherwise`;
  }
  return `no file makes or preloads the certificate ${name}: write 'preloaded_cert:${id}' in certificates.yaml, or name it under certificates there when it is imported`;
}

/** The methods by which the service orders certificates, for which it signs with their keys. */
const orderedMethods: ReadonlySet<string> = new Set(['self_signed', 'local_ca', 'est', 'command']);

/** The keys that services use, as far as the files name them. */
function* usesOf({ identity, modules, certificates }: Configurations): Generator<KeyUse> {
  const { dps } = identity?.config ?? {};
  if (identity !== undefined && dps !== undefined) {
    const place = placeIn(identity, ['provisioning', 'attestation', 'identity_pk']);
    yield { right: 'sign', id: dps.keyId, user: 'iotedge-identity', place };
  }
  const user = 'iotedge-certificates';
  const deviceCaKey = modules?.config.deviceCaKey;
  if (modules !== undefined && deviceCaKey !== undefined) {
    const place = placeIn(modules, ['certificates', 'device_ca_pk']);
    yield { right: 'sign', id: deviceCaKey, user, place };
  }
  if (certificates === undefined) return;
  const { issuers, certificates: rules } = certificates.config;
  for (const [name, issuer] of Object.entries(issuers)) {
    const id = keyIdOf(issuer);
    const place = placeIn(certificates, ['issuers', name, 'key_id']);
    if (id !== undefined) yield { right: 'sign', id, user, place };
  }
  const authorities = new Set(Object.values(rules).map(({ issuer }) => issuer));
  for (const [name, { key_id: id, key_policy: policy, ...rule }] of Object.entries(rules)) {
    const place = placeIn(certificates, ['certificates', name, 'key_id']);
    const { method = 'local_ca', issuer } = rule;
    if (id === undefined) continue;
    const isRotated = policy === 'rotate' && orderedMethods.has(method);
    // the default: a certificate may also be preloaded or imported
    const isOther = method === 'local_ca' && issuer === undefined && !isRotated;
    const isOrdered = orderedMethods.has(method) && !isOther;
    if (authorities.has(name) || isOrdered) yield { right: 'sign', id, user, place };
    if (isRotated) yield { right: 'rotate', id, user, place };
  }
  for (const { id, path } of clientCertificatesOf(certificates.config)) {
    // the key of a preloaded certificate usually has its id
    const keyId = new Map(Object.entries(rules)).get(id)?.key_id ?? id;
    yield { right: 'sign', id: keyId, user, place: placeIn(certificates, path) };
  }
}
