/** What rules for certificates say, and whether a certificate can have it. */
import { describeError, ServiceError } from '../../errors.ts';
import type { ParseContext } from '../../service/config/config.ts';
import { encodeName, formatName, type Name, parseName } from '../../x509/name.ts';
import {
  parseAlternativeName,
  type SubjectAlternativeName,
} from '../../x509/subject-alternative-name.ts';
import type { CertificateRule } from './config.ts';

const kinds = ['dns', 'ip', 'uri'] as const;

const maxCommonName = 64;

/** The subject that a rule gives a certificate of an id; InvalidArgs when it gives none and the id is too long for one. */
export function subjectOf({ subject }: CertificateRule, id: string): Name {
  if (subject === undefined && id.length > maxCommonName) {
    const name = JSON.stringify(id);
    throw new ServiceError(
      'InvalidArgs',
      `the id of the certificate ${name} is too long for its common name: certificates.yaml needs \`certificates: ${name}: subject\``,
    );
  }
  return parseName(subject ?? formatName([[{ type: 'CN', value: id }]]));
}

/** The other names that a rule allows; InvalidArgs when one is none. */
export function namesOf(rule: CertificateRule): readonly SubjectAlternativeName[] {
  return kinds.flatMap((kind) =>
    (rule[kind] ?? []).map((text) => parseAlternativeName(kind, text)),
  );
}

/** Reports the names in rules that no certificate can have, before somebody who asks for one is blamed. */
export function reportRules(
  certificates: Readonly<Record<string, CertificateRule>>,
  { report }: Pick<ParseContext, 'report'>,
): void {
  for (const [glob, rule] of Object.entries(certificates)) {
    const check = (path: readonly (string | number)[], read: () => unknown): void => {
      try {
        read();
      } catch (error) {
        report(['certificates', glob, ...path], describeError(error));
      }
    };
    const { subject } = rule;
    if (subject !== undefined) check(['subject'], () => encodeName(parseName(subject)));
    for (const kind of kinds) {
      const names = [...(rule[kind] ?? []).entries()];
      for (const [at, text] of names) check([kind, at], () => parseAlternativeName(kind, text));
    }
  }
}
