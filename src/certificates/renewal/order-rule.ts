import { createHash } from 'node:crypto';
import { ServiceError } from '../../errors.ts';
import type { CertificateId } from '../../ids.ts';
import type { KeyAlgorithm } from '../../x509/algorithm.ts';
import type { Name } from '../../x509/name.ts';
import type { RenewalSetting } from '../../x509/renewal-time.ts';
import type { SubjectAlternativeName } from '../../x509/subject-alternative-name.ts';
import {
  isEnrollable,
  type KeyPolicy,
  type Method,
  notEnrollable,
  type Profile,
  renewalOf,
} from '../config/certificate-rule.ts';
import type { CertificatesConfig } from '../config/config.ts';
import { policyFor, resolveIssuer, resolveProfile, ruleFor } from '../issuers/policy.ts';
import type { Issuance } from './enrolment.ts';
import type { RenewalRule } from './next-step.ts';

/** The content of the certificates of an id, and how they are ordered and renewed. */
export interface OrderRule extends RenewalRule {
  readonly method: Method;
  /** `` for a method without issuers. */
  readonly issuer: string;
  readonly profile: Profile;
  readonly lifetimeS: number;
  readonly subject: Name;
  readonly names: readonly SubjectAlternativeName[];
  /** In the order of preference; empty: as the Keys service prefers. */
  readonly keyAlgorithms: readonly KeyAlgorithm[];
  readonly keyPolicy: KeyPolicy;
  /** In place of those of the EST issuer. */
  readonly label: string | undefined;
  readonly bootstrap: string | undefined;
  /** The id of the first key, and whether the configuration names it, so that it is not made here. */
  readonly keyId: string;
  readonly isKeyConfigured: boolean;
}

const issuedMethods: ReadonlySet<Method> = new Set(['self_signed', 'local_ca', 'est', 'command']);

/**
 * The rule for ordering a certificate. InvalidArgs for an id, issuer or profile that the configuration does not allow,
 * NotSupported for one whose certificates are not issued here.
 */
export function orderRuleFor(
  config: Pick<CertificatesConfig, 'certificates' | 'issuers'>,
  id: CertificateId,
  asked: { readonly issuer?: string | undefined; readonly profile?: string | undefined } = {},
): OrderRule {
  if (!isEnrollable(id)) {
    throw new ServiceError('InvalidArgs', `"${id}" cannot be enrolled: ${notEnrollable}`);
  }
  const rule = ruleFor(config, id);
  const policy = policyFor(config, id);
  const { method, subject, names = [], lifetimeS, keyAlgorithms = [] } = policy;
  if (subject === undefined) {
    throw new ServiceError(
      'NotSupported',
      `certificates of modules such as "${id}" are not stored`,
    );
  }
  if (method === 'self_signed' && asked.issuer !== undefined) {
    throw new ServiceError(
      'InvalidArgs',
      `the certificate "${id}" is self-signed, without an issuer`,
    );
  }
  const issuer = method === 'self_signed' ? '' : resolveIssuer(policy, asked.issuer);
  const profile = resolveProfile(policy, asked.profile);
  const settings = [
    rule,
    method,
    issuer,
    profile,
    Object.entries(config.issuers).find(([name]) => name === issuer),
  ];
  return {
    isIssued: issuedMethods.has(method),
    renewal: renewalOf(rule),
    settings: createHash('sha256').update(JSON.stringify(settings)).digest('hex'),
    method,
    issuer,
    profile,
    lifetimeS,
    subject,
    names,
    keyAlgorithms,
    label: rule.label,
    bootstrap: rule.bootstrap,
    keyPolicy: rule.key_policy ?? (rule.key_id === undefined ? 'rotate' : 'reuse'),
    keyId: rule.key_id ?? `iotedge/certificate/${id}`,
    isKeyConfigured: rule.key_id !== undefined,
  };
}

/** When a certificate is renewed by the configuration, as far as it is renewed here; undefined when it is not. */
export function renewalFor(
  config: Pick<CertificatesConfig, 'certificates'>,
  id: CertificateId,
): RenewalSetting | undefined {
  const rule = ruleFor(config, id);
  return issuedMethods.has(rule.method ?? 'local_ca') ? renewalOf(rule) : undefined;
}

/** Throws NotSupported when certificates are not issued here by their rule. */
export function assertIssued(id: CertificateId, { isIssued, method }: OrderRule): void {
  if (isIssued) return;
  const why =
    method === 'external'
      ? 'is not ordered here, but renewed by whichever service or user imports it: its method is external'
      : `cannot be enrolled: its method is ${method}`;
  throw new ServiceError(
    'NotSupported',
    `the certificate "${id}" ${why}, by its rule in certificates.yaml`,
  );
}

/** The issuer and the profile that a record keeps, as far as the rule allows them. */
export function keptBy({ issuer, profile }: Issuance): {
  readonly issuer?: string;
  readonly profile?: string;
} {
  return { ...(issuer !== '' && { issuer }), ...(profile !== undefined && { profile }) };
}
