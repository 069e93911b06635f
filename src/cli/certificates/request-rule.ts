import { ServiceError } from '../../errors.ts';
import { idGlobMatches } from '../../glob.ts';

/** What the rule of a certificate says of a request for it. */
export interface RequestRule {
  /** RFC 4514. */
  readonly subject: string;
  readonly dns: readonly string[];
  readonly ip: readonly string[];
  readonly uri: readonly string[];
  readonly keyId: string;
  /** In the order of preference; empty: as the Keys service prefers. */
  readonly keyAlgorithms: readonly string[];
}

/** The rule for a certificate in a directory of configuration files; AccessDenied or InvalidArgs when it is not to be read. */
export async function requestRule(dir: string, id: string): Promise<RequestRule> {
  const check = await import('../configuration/check.ts'); // other verbs start without it
  const { placed, denied, problems } = await check.checkConfigurations(dir);
  const config = placed.certificates?.config;
  if (config === undefined) {
    const isDenied = denied.some(({ file }) => file.includes('certificates'));
    if (isDenied)
      throw new ServiceError('AccessDenied', `certificates.yaml in ${dir} is not readable`);
    const [problem] = problems;
    const text = `certificates.yaml in ${dir} is not valid: ${problem?.message ?? ''}`;
    throw new ServiceError('InvalidArgs', `${text}; see 'iotedgectl config check'`);
  }
  const rule = ruleOf(config.certificates, id);
  if (rule === undefined) {
    const text = `no rule for the certificate "${id}" in certificates.yaml: its names are not known`;
    throw new ServiceError('NotFound', text);
  }
  return {
    subject: rule.subject ?? `CN=${id}`,
    dns: rule.dns ?? [],
    ip: rule.ip ?? [],
    uri: rule.uri ?? [],
    keyId: rule.key_id ?? `iotedge/certificate/${id}`,
    keyAlgorithms: rule.key_algorithms ?? [],
  };
}

/** The rule of the id itself, else of the longest glob that matches it. */
function ruleOf<T>(rules: Readonly<Record<string, T>>, id: string): T | undefined {
  if (Object.hasOwn(rules, id)) return rules[id];
  const [longest = ''] = Object.keys(rules)
    .filter((glob) => idGlobMatches(glob, id))
    .toSorted((one, other) => other.length - one.length || (one < other ? -1 : 1));
  return rules[longest];
}
