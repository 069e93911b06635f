/** The policy for each id, which only the configuration decides. A request may ask for less, not for more. */
import { isServiceError, ServiceError } from '../../errors.ts';
import { idGlobMatches } from '../../glob.ts';
import { type CertificateId, parseCertificateId, reservedPrefix } from '../../ids.ts';
import { quoted } from '../../quoted.ts';
import type { KeyAlgorithm } from '../../x509/algorithm.ts';
import type { CertificateRequest } from '../../x509/csr.ts';
import { encodeName, formatName, isSameName, type Name } from '../../x509/name.ts';
import {
  formatAlternativeName,
  type SubjectAlternativeName,
} from '../../x509/subject-alternative-name.ts';
import {
  type CertificateRule,
  lifetimeOf,
  type Method,
  namesOf,
  type Profile,
  profiles,
  subjectOf,
} from '../config/certificate-rule.ts';
import type { CertificatesConfig } from '../config/config.ts';
import { isCaProfile, rightsOf } from './profile.ts';

/** The limits of the certificates of one id. */
export interface Policy {
  readonly id: string;
  /** The id or glob of the rule in the configuration, undefined when there is none. */
  readonly ruleName: string | undefined;
  readonly method: Method;
  /** The only issuer, when the configuration names one. */
  readonly issuer: string | undefined;
  readonly profiles: readonly Profile[];
  /** Undefined: that of the request. */
  readonly subject: Name | undefined;
  /** Undefined: those of the request, DNS names and IP addresses only. */
  readonly names: readonly SubjectAlternativeName[] | undefined;
  readonly lifetimeS: number;
  readonly maxLifetimeS: number;
  /** In the order of preference; undefined: all. */
  readonly keyAlgorithms: readonly KeyAlgorithm[] | undefined;
}

/** The content of a certificate as far as the request and the policy determine it. */
export interface Granted {
  readonly subjectDer: Buffer;
  readonly names: readonly SubjectAlternativeName[];
  readonly lifetimeS: number;
}

/** The life of a certificate whose rule states none. */
export const defaultLifetimeS = 30 * 86_400;
const modulePrefix = 'iotedge/module/';
const maxModuleLifetimeS = 365 * 86_400;
const workloadCaId = 'iotedge/workload-ca';
/** Issued by the provisioning service, renewed and imported by the Identity service. */
const deviceIdentityId = 'iotedge/device-identity';
// renewed after 80 %, so that the certificates of modules always have the 30 days that they ask for
const workloadCaLifetimeS = 150 * 86_400;

/** The rule for an id: that of the exact id, else that of the longest matching glob. */
export function ruleFor(
  { certificates }: Pick<CertificatesConfig, 'certificates'>,
  id: string,
): CertificateRule {
  return certificates[ruleNameFor({ certificates }, id) ?? ''] ?? {};
}

/** The id or glob of that rule; undefined when there is none. */
function ruleNameFor(
  { certificates }: Pick<CertificatesConfig, 'certificates'>,
  id: string,
): string | undefined {
  if (Object.hasOwn(certificates, id)) return id;
  let longest: string | undefined;
  for (const glob of Object.keys(certificates)) {
    if (isBefore(glob, longest) && idGlobMatches(glob, id)) longest = glob;
  }
  return longest;
}

/** Longer globs come first, those of one length in alphabetical order. */
function isBefore(glob: string, other: string | undefined): boolean {
  if (other === undefined || glob.length > other.length) return true;
  return glob.length === other.length && glob < other;
}

/**
 * The policy for an id. For the ids of modules the runtime checks names, and the configuration only limits the
 * lifetime and names the issuer: the certificates are always leaves. The CA that issues them needs no rule.
 */
export function policyFor(config: Pick<CertificatesConfig, 'certificates'>, id: string): Policy {
  const ruleName = ruleNameFor(config, id);
  const rule = config.certificates[ruleName ?? ''] ?? {};
  const maxS = lifetimeOf(rule);
  const isWorkloadCa = id === workloadCaId;
  const lifetimeS = maxS ?? (isWorkloadCa ? workloadCaLifetimeS : defaultLifetimeS);
  const common = {
    id,
    ruleName,
    method: rule.method ?? (id === deviceIdentityId ? 'external' : 'local_ca'),
    issuer: rule.issuer,
    lifetimeS,
    keyAlgorithms: rule.key_algorithms,
  };
  if (id.startsWith(modulePrefix)) {
    return {
      ...common,
      profiles: ['client', 'server'],
      subject: undefined,
      names: undefined,
      maxLifetimeS: maxS ?? maxModuleLifetimeS,
    };
  }
  return {
    ...common,
    profiles: rule.profiles ?? [isWorkloadCa ? 'workload-ca' : 'client'],
    subject: subjectOf(rule, id),
    names: namesOf(rule),
    maxLifetimeS: lifetimeS,
  };
}

/** As `policyFor`, and keeps the last one: a call needs it for its authorization, and then again. */
export function policies(config: Pick<CertificatesConfig, 'certificates'>): (id: string) => Policy {
  let last: Policy | undefined;
  return (id) => {
    if (last?.id !== id) last = policyFor(config, id);
    return last;
  };
}

/** The requested profile, or the first of the policy; InvalidArgs when the policy does not allow it. */
export function resolveProfile(policy: Policy, asked: string | undefined): Profile {
  const wanted = asked ?? policy.profiles[0];
  const profile = profiles.find((known) => known === wanted);
  if (profile === undefined || !policy.profiles.includes(profile)) {
    refuse(policy, `the profile ${quoted(wanted ?? '')}`, 'profiles');
  }
  return profile;
}

/** The requested issuer, else the configured one, else `device-ca`; InvalidArgs when another one is configured. */
export function resolveIssuer(policy: Policy, asked: string | undefined): CertificateId {
  if (policy.issuer !== undefined && asked !== undefined && asked !== policy.issuer) {
    refuse(policy, `the issuer ${quoted(asked)}`, 'issuer');
  }
  return parseCertificateId(asked ?? policy.issuer ?? 'device-ca');
}

/**
 * The failure to find the CA of this device that would issue a certificate, which names the missing rule: one that was
 * removed may have had another method and issuer. The services' own certificates need none.
 */
export function explainMissingRule(
  error: unknown,
  config: Pick<CertificatesConfig, 'certificates'>,
  { id, issuer }: { readonly id: string; readonly issuer: string },
): unknown {
  const isMissing = !id.startsWith(reservedPrefix) && ruleNameFor(config, id) === undefined;
  if (!isMissing || !isServiceError(error, 'NotFound')) return error;
  const by = `so that the CA ${quoted(issuer)} of this device would issue it`;
  const why = `certificates.yaml has no rule for ${quoted(id)}, ${by}`;
  const advice = `add \`certificates: ${JSON.stringify(id)}\` with its method and issuer`;
  return new ServiceError(error.code, `${error.message}: ${why}: ${advice}`, { cause: error });
}

/** Applies the policy to a request; InvalidArgs when it asks for more than the policy allows. */
export function grant(
  policy: Policy,
  csr: CertificateRequest,
  { profile, lifetimeS }: { readonly profile: Profile; readonly lifetimeS: number | undefined },
): Granted {
  checkRights(policy, csr, profile);
  if (policy.keyAlgorithms?.includes(csr.keyAlgorithm) === false) {
    refuse(policy, `a key of the kind ${csr.keyAlgorithm}`, 'key_algorithms');
  }
  const life = lifetimeS ?? policy.lifetimeS;
  if (life === 0 || life > policy.maxLifetimeS) refuse(policy, `a life of ${life} s`, 'lifetime');
  const names = grantNames(policy, csr);
  return { subjectDer: grantSubject(policy, csr, names), names, lifetimeS: life };
}

function checkRights(policy: Policy, csr: CertificateRequest, profile: Profile): void {
  const { basicConstraints, keyUsage, extendedKeyUsage, others } = csr.requested;
  const rights = rightsOf(profile, csr.keyAlgorithm);
  if (basicConstraints?.ca === true && !isCaProfile(profile))
    refuse(policy, 'the rights of a CA', 'profiles');
  if ((basicConstraints?.pathLength ?? 0) > (rights.pathLength ?? 0)) {
    refuse(policy, `the path length ${basicConstraints?.pathLength ?? 0}`, 'profiles');
  }
  const usage = keyUsage.find((one) => !rights.keyUsage.includes(one));
  if (usage !== undefined) refuse(policy, `the key usage ${usage}`, 'profiles');
  const purpose = extendedKeyUsage.find((one) => !rights.extendedKeyUsage.includes(one));
  if (purpose !== undefined) refuse(policy, `the extended key usage ${purpose}`, 'profiles');
  if (others[0] !== undefined) {
    throw new ServiceError('InvalidArgs', `the extension ${others[0]} of the CSR is not supported`);
  }
}

function grantSubject(
  policy: Policy,
  csr: CertificateRequest,
  names: readonly SubjectAlternativeName[],
): Buffer {
  if (policy.subject === undefined) {
    if (csr.subject.length === 0 && names.length === 0) {
      throw new ServiceError('InvalidArgs', 'the CSR has neither a subject nor another name');
    }
    return csr.subjectDer;
  }
  if (csr.subject.length > 0 && !isSameName(csr.subject, policy.subject)) {
    const subject = formatName(policy.subject);
    const asked = JSON.stringify(formatName(csr.subject).slice(0, 200));
    refuse(policy, `the subject ${asked} in place of ${JSON.stringify(subject)}`, 'subject');
  }
  return encodeName(policy.subject);
}

/** Whether a module may have the name: hosts and addresses, and the URI of the module in the cloud. */
function isModuleName(name: SubjectAlternativeName): boolean {
  const text = formatAlternativeName(name);
  if (name.kind === 'uri') return text.startsWith('uri:azureiot://');
  // a wildcard would include the names of all other modules
  return name.kind === 'ip' || (name.kind === 'dns' && !text.includes('*'));
}

function grantNames(policy: Policy, csr: CertificateRequest): readonly SubjectAlternativeName[] {
  const asked = csr.requested.alternativeNames;
  const allowed = policy.names;
  if (allowed !== undefined && asked.length === 0) return allowed;
  const spelled = new Set(allowed?.map(formatAlternativeName));
  for (const name of asked) {
    const fits =
      allowed === undefined ? isModuleName(name) : spelled.has(formatAlternativeName(name));
    if (fits) continue;
    const text = `the name ${JSON.stringify(formatAlternativeName(name).slice(0, 200))}`;
    if (allowed !== undefined && name.kind !== 'email') refuse(policy, text, name.kind);
    const why = allowed === undefined ? 'a module' : 'email addresses';
    throw new ServiceError('InvalidArgs', `${text} of the CSR is none that ${why} can have`);
  }
  return asked;
}

/** Throws InvalidArgs naming the file and the setting, which the operator may want to change. */
function refuse({ id, ruleName }: Policy, what: string, setting: keyof CertificateRule): never {
  const where = `certificates: ${JSON.stringify(ruleName ?? id)}: ${setting}`;
  const rule =
    ruleName === undefined ? `has no rule for it; \`${where}\` would be one` : `\`${where}\``;
  throw new ServiceError(
    'InvalidArgs',
    `the certificate "${id}" may not have ${what}: certificates.yaml ${rule}`,
  );
}
