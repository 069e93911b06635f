/** Checks across the files of all four services: ids that none of them creates, missing grants, shared directories. */
import type { CertificatesConfig } from '../../certificates/config/config.ts';
import { keyIdOf } from '../../certificates/config/issuer-settings.ts';
import { idGlobMatches } from '../../glob.ts';
import { reservedPrefix } from '../../ids.ts';
import { signMechanisms } from '../../interfaces/enumerations.ts';
import { grants } from '../../interfaces/grants.ts';
import type { KeysConfig } from '../../keys/config/config.ts';
import type { ModulesConfig } from '../../modules/config/config.ts';
import { ruleAllows } from '../../service/authorization/rules.ts';
import type { CommonConfig } from '../../service/config/common-config.ts';
import type { PlacedConfig } from '../../service/config/config.ts';
import type { Problem, SettingPath } from '../../service/config/config-problem.ts';
import type { Configurations } from './configurations.ts';
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

/** A key that one of the services signs with. */
interface Use extends Reference {
  readonly kind: 'key';
  readonly user: string;
}

/** The uid of a user of this machine; undefined when there is none of that name. */
type UidOf = (user: string) => number | undefined;

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

/** The keys that services sign with, as far as the files name them. */
function* usesOf({ identity, modules, certificates }: Configurations): Generator<Use> {
  const { dps } = identity?.config ?? {};
  if (identity !== undefined && dps !== undefined) {
    const place = placeIn(identity, ['provisioning', 'attestation', 'identity_pk']);
    yield { kind: 'key', id: dps.keyId, user: 'iotedge-identity', place };
  }
  const user = 'iotedge-certificates';
  const deviceCaKey = modules?.config.deviceCaKey;
  if (modules !== undefined && deviceCaKey !== undefined) {
    const place = placeIn(modules, ['certificates', 'device_ca_pk']);
    yield { kind: 'key', id: deviceCaKey, user, place };
  }
  if (certificates === undefined) return;
  const { issuers, certificates: rules } = certificates.config;
  for (const [name, issuer] of Object.entries(issuers)) {
    const id = keyIdOf(issuer);
    const place = placeIn(certificates, ['issuers', name, 'key_id']);
    if (id !== undefined) yield { kind: 'key', id, user, place };
  }
  const authorities = new Set(Object.values(rules).map(({ issuer }) => issuer));
  for (const [name, { key_id: id, method = 'none' }] of Object.entries(rules)) {
    const place = placeIn(certificates, ['certificates', name, 'key_id']);
    const signs = authorities.has(name) || method === 'self_signed';
    if (id !== undefined && signs) yield { kind: 'key', id, user, place };
  }
  for (const { id, path } of clientCertificatesOf(certificates.config)) {
    // the key of a preloaded certificate usually has its id
    const keyId = new Map(Object.entries(rules)).get(id)?.key_id ?? id;
    yield { kind: 'key', id: keyId, user, place: placeIn(certificates, path) };
  }
}

const sign = 'org.iotedge.keys1.sign';

function missingGrant(
  { id, user, place }: Use,
  keys: PlacedConfig<KeysConfig> | undefined,
  uidOf: UidOf,
): readonly Problem[] {
  if (keys === undefined || id === '') return [];
  if (maySign(id, { name: user, uid: uidOf(user) }, keys.config)) return [];
  const line = `- {user: '${user}', actions: ['${sign}'], match: {key_id: '${id}'}}`;
  const text = `${user} may not sign with the key "${id}": add to grants of keys.yaml the line ${line}`;
  return [place(text)];
}

/** No file states the type of the key, which decides the mechanisms: one permitted mechanism is enough. */
function maySign(
  id: string,
  user: Account,
  { authorization, grants: own }: Pick<CommonConfig, 'authorization' | 'grants'>,
): boolean {
  const questions = signMechanisms.map((mechanism) => ({
    action: sign,
    details: { key_id: id, mechanism, derivation: '' },
  }));
  const builtIn = grants.map(({ action, ...grant }) => ({ ...grant, actions: [action] }));
  const acl = authorization.backend === 'acl' ? authorization.acl : [];
  return [...builtIn, ...own, ...acl].some((rule) => {
    const covered = { actions: rule.actions, match: rule.match ?? {} };
    return isFor(rule, user) && questions.some((question) => ruleAllows(covered, question));
  });
}

interface Account {
  readonly name: string;
  readonly uid: number | undefined;
}

/** Groups and uids that only the service's machine can resolve get the benefit of the doubt. */
function isFor({ user }: { readonly user?: string }, { name, uid }: Account): boolean {
  if (user === undefined || user === name) return true;
  return /^[0-9]{1,10}$/.test(user) && (uid === undefined || uid === Number(user));
}
