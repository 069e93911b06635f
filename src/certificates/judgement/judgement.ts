/** Judges what a CA has issued before it becomes the current certificate of an id. */
import { isServiceError } from '../../errors.ts';
import { type KeyAlgorithm, keyAlgorithmOf } from '../../x509/algorithm.ts';
import { type Certificate, isSelfSigned } from '../../x509/certificate.ts';
import type { Name } from '../../x509/name.ts';
import type { SubjectAlternativeName } from '../../x509/subject-alternative-name.ts';
import type { Profile } from '../config/certificate-rule.ts';
import { isCaProfile, type ProfileRights, rightsOf } from '../issuers/profile.ts';
import { findPath, validFrom } from './certification-path.ts';
import { judgeNames } from './issued-names.ts';

/** What was ordered. */
export interface Expected {
  /** The canonical SubjectPublicKeyInfo of the key. */
  readonly spki: Buffer;
  readonly profile: Profile;
  readonly subject: Name;
  readonly names: readonly SubjectAlternativeName[];
}

/** The certificates that came with the answer, and those that are trusted to issue. */
export interface Issued {
  /** In any order. */
  readonly certificates: readonly Certificate[];
  /** Other known CA certificates, such as those of `cacerts`. */
  readonly others: readonly Certificate[];
  readonly anchors: readonly Certificate[];
}

/** The verdict. */
export type Judgement =
  | {
      readonly kind: 'accepted';
      /** Leaf first, without the root. */
      readonly chain: readonly Certificate[];
      /** When it becomes usable, which may be in the future. */
      readonly validFrom: Date;
      /** Differences from the order that are accepted, for the log: the first ones. */
      readonly remarks: readonly string[];
    }
  | {
      readonly kind: 'refused';
      readonly reason: string;
    };

/** Whether the certificate that a CA has issued is the one that was ordered, and whether verifiers will accept it. */
export function judgeIssued(
  { certificates, others, anchors }: Issued,
  expected: Expected,
  now: Date,
): Judgement {
  const [leaf] = certificates
    .filter(({ spki }) => spki.equals(expected.spki))
    .toSorted((left, right) => right.notAfter.getTime() - left.notAfter.getTime());
  if (leaf === undefined) {
    const count = certificates.length;
    return refused(`none of the ${count} issued certificates is for the key of the order`);
  }
  try {
    return judgeLeaf(leaf, { certificates, others, anchors }, expected, now);
  } catch (error) {
    // an extension that is malformed
    if (isServiceError(error, 'InvalidArgs') || isServiceError(error, 'NotSupported')) {
      return refused(error.message);
    }
    throw error;
  }
}

function judgeLeaf(
  leaf: Certificate,
  { certificates, others, anchors }: Issued,
  expected: Expected,
  now: Date,
): Judgement {
  const rights = rightsOf(expected.profile, algorithmOf(leaf));
  const names = judgeNames(leaf, expected);
  const problem = rightsProblem(leaf, expected.profile, rights) ?? names.problem;
  if (problem !== undefined) return refused(`the issued certificate ${problem}`);
  const found = findPath(leaf, {
    others: [...certificates, ...others],
    anchors,
    purposes: rights.extendedKeyUsage,
    now,
  });
  if ('problem' in found)
    return refused(`the issued certificate is not acceptable: ${found.problem}`);
  const { path } = found;
  return {
    kind: 'accepted',
    chain: path.filter((one, at) => at === 0 || !isSelfSigned(one)),
    validFrom: validFrom(path),
    remarks: [...rightsRemarks(leaf, rights), ...names.remarks].slice(0, maxRemarks),
  };
}

function algorithmOf({ publicKey }: Certificate): KeyAlgorithm {
  // the key was created here, so OpenSSL supports it
  if (publicKey === undefined) throw new TypeError('not a key of an order');
  return keyAlgorithmOf(publicKey);
}

/** Each is a record of the log, and a CA may add any number of purposes and of parts of the subject. */
const maxRemarks = 16;
const anyPurpose = '2.5.29.37.0';

function rightsProblem(
  { basicConstraints, extendedKeyUsage, keyUsage, version }: Certificate,
  profile: Profile,
  rights: ProfileRights,
): string | undefined {
  if (version !== 3) return `has the version ${version}`;
  if (basicConstraints.ca && !isCaProfile(profile))
    return `is a CA, which "${profile}" must not be`;
  if (!basicConstraints.ca && isCaProfile(profile)) return 'is not a CA';
  if (keyUsage?.includes('keyCertSign') === !isCaProfile(profile)) {
    return isCaProfile(profile)
      ? 'has a key that may not sign certificates'
      : 'has a key that may sign certificates';
  }
  if (!isCaProfile(profile) && keyUsage?.includes('digitalSignature') === false) {
    return 'has a key that may not sign';
  }
  if (extendedKeyUsage === undefined || extendedKeyUsage.includes(anyPurpose)) return undefined;
  const missing = rights.extendedKeyUsage.find((purpose) => !extendedKeyUsage.includes(purpose));
  return missing === undefined ? undefined : `is not for ${missing}, as "${profile}" has to be`;
}

function rightsRemarks(
  { basicConstraints, extendedKeyUsage }: Certificate,
  rights: ProfileRights,
): readonly string[] {
  const purposes = extendedKeyUsage?.filter((one) => !rights.extendedKeyUsage.includes(one)) ?? [];
  const length = basicConstraints.pathLength;
  return [
    ...purposes.map((purpose) => `it is also for ${purpose}`),
    ...(basicConstraints.ca && length !== rights.pathLength
      ? [`its path length is ${length ?? 'unlimited'} in place of ${rights.pathLength ?? 0}`]
      : []),
  ];
}

function refused(reason: string): Judgement {
  return { kind: 'refused', reason };
}
