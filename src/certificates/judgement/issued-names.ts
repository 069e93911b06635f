import type { Certificate } from '../../x509/certificate.ts';
import { extensionOids, readAlternativeNames } from '../../x509/extensions.ts';
import { formatName, type Name } from '../../x509/name.ts';
import {
  formatAlternativeName,
  type SubjectAlternativeName,
} from '../../x509/subject-alternative-name.ts';
import type { Profile } from '../config/certificate-rule.ts';

/** The names that were ordered. */
interface OrderedNames {
  readonly profile: Profile;
  readonly subject: Name;
  readonly names: readonly SubjectAlternativeName[];
}

/** How the names of an issued certificate differ from the ordered ones. */
export interface NamesVerdict {
  /** Why the certificate is refused. */
  readonly problem: string | undefined;
  readonly remarks: readonly string[];
}

/**
 * Names that were not ordered are refused: another CN, and SANs except the CN as dNSName, which CAs add. RDNs that the
 * CA added or dropped are accepted, and SANs that it dropped except those of servers, which clients look for.
 */
export function judgeNames(
  { extensions, subject }: Certificate,
  { profile, subject: wanted, names }: OrderedNames,
): NamesVerdict {
  const extension = extensions.find(({ oid }) => oid === extensionOids.subjectAlternativeName);
  const issued = (extension === undefined ? [] : readAlternativeNames(extension)).map(
    formatAlternativeName,
  );
  const ordered = names.map(formatAlternativeName);
  const commonNames = valuesOf(wanted, 'CN');
  const allowed = new Set([...ordered, ...commonNames.map((name) => `dns:${name.toLowerCase()}`)]);
  const foreign = issued.find((name) => !allowed.has(name));
  const missing = ordered.filter((name) => !issued.includes(name));
  const foreignName = valuesOf(subject, 'CN').find((name) => !commonNames.includes(name));
  return {
    problem: problemOf({
      foreign,
      foreignName,
      missing: profile === 'server' ? missing[0] : undefined,
    }),
    remarks: [
      ...missing.map((name) => `the name ${quote(name)} was left out`),
      ...difference(wanted, subject).map((part) => `${quote(part)} was left out of the subject`),
      ...difference(subject, wanted).map((part) => `${quote(part)} was added to the subject`),
    ],
  };
}

function problemOf({
  foreign,
  foreignName,
  missing,
}: Readonly<Record<'foreign' | 'foreignName' | 'missing', string | undefined>>):
  | string
  | undefined {
  if (foreignName !== undefined)
    return `has the common name ${quote(foreignName)}, which was not ordered`;
  if (foreign !== undefined) return `has the name ${quote(foreign)}, which was not ordered`;
  return missing === undefined ? undefined : `lacks the name ${quote(missing)}`;
}

function valuesOf(name: Name, type: string): readonly string[] {
  return name.flat().flatMap((one) => (one.type === type ? [one.value] : []));
}

/** The attributes of a name that another one lacks. */
function difference(name: Name, other: Name): readonly string[] {
  const textsOf = (one: Name): readonly string[] =>
    one.flat().map((attribute) => formatName([[attribute]]));
  const known = new Set(textsOf(other));
  return textsOf(name).filter((text) => !known.has(text));
}

function quote(text: string): string {
  return JSON.stringify(text.slice(0, 200));
}
