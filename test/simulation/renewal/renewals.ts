import {
  type CertificatesConfig,
  certificatesSchema,
  parseCertificatesConfig,
} from '../../../src/certificates/config/config.ts';
import { type OrderRule, orderRuleFor } from '../../../src/certificates/renewal/order-rule.ts';
import { parseCertificateId } from '../../../src/ids.ts';
import { loadConfig } from '../../../src/service/config/config.ts';
import { simulate } from './fleet.ts';

/** What is simulated. */
export interface RenewalOptions {
  /** The directory of certificates.yaml; undefined for examples. */
  readonly configDir: string | undefined;
  /** The life of certificates whose rule does not decide it, in place of the default. */
  readonly lifetime: string | undefined;
  readonly devices: number;
  readonly years: number;
}

/** The result of a rule, as it is printed. */
export type Row = Readonly<Record<string, string | number>>;

interface NamedRule {
  readonly name: string;
  readonly rule: OrderRule;
}

const daysPerYear = 365;

/**
 * What goes wrong in these years: outages of 60 days, weeks without decisions, wrong clocks, and three rollovers of the
 * CA. The first is in time for all that it has issued; the second begins and ends while half of the devices are off; in
 * the third the CA has so little left to live that it issues certificates which live no longer than those they replace.
 */
export function troubles(years: number, { lifetimeS }: Pick<OrderRule, 'lifetimeS'>) {
  const at = (share: number): number => years * daysPerYear * share;
  const life = lifetimeS / 86_400;
  const begins = [-daysPerYear, at(0.35), at(0.5) + 10, at(0.75)] as const;
  const ends = [begins[1] + life / 2, at(0.5) + 50, begins[3] + life / 20, at(2)];
  return {
    outages: [
      { day: at(0.2), days: 60 },
      { day: at(0.5), days: 60, share: 0.5 },
    ],
    undecided: [0.1, 0.6].map((share) => ({ day: at(share), days: 7 })),
    authorities: begins.map((day, index) => ({ day, days: (ends[index] ?? day) - day })),
    clockSteps: 3,
  };
}

/** Simulates each rule, one after the other. */
export async function* renewals(options: RenewalOptions): AsyncGenerator<Row> {
  const { devices, years } = options;
  for (const { name, rule } of await rulesOf(options)) {
    const plan = { rule, devices, years, spreadDays: 60, ...troubles(years, rule) };
    const outcome = await simulate(plan);
    yield {
      certificate: name,
      'life (days)': rule.lifetimeS / 86_400,
      'renewals of a device': (outcome.renewals / devices).toFixed(1),
      'shortened by their CA': (outcome.shortened / devices).toFixed(1),
      'requests of a device': (outcome.requests / devices).toFixed(0),
      'expired, could be renewed': outcome.avoidable,
      'expired, could not (days of a device)': (outcome.unavoidableDays / devices).toFixed(1),
      'slowest return (hours)': outcome.slowestReturnHours.toFixed(1),
      'earliest renewal (share of its life)': outcome.earliestRenewal.toFixed(2),
      'requests that came too early': outcome.early,
      'peak / mean after outages': outcome.peaks.map((peak) => peak?.toFixed(1) ?? '-').join(', '),
    };
  }
}

async function rulesOf({
  configDir,
  lifetime,
}: Pick<RenewalOptions, 'configDir' | 'lifetime'>): Promise<readonly NamedRule[]> {
  if (configDir === undefined) return exampleRules();
  const config = await loadConfig({
    dir: configDir,
    service: 'certificates',
    schema: certificatesSchema,
    parse: parseCertificatesConfig,
  });
  const rules = Object.keys(config.certificates).map((name) => ({
    name,
    rule: orderRuleFor(config, parseCertificateId(name.replaceAll('*', 'x'))),
  }));
  const issued = rules.filter(({ rule }) => rule.isIssued);
  if (issued.length === 0)
    throw new Error(`no rule in ${configDir} is for certificates that are issued and renewed here`);
  if (lifetime === undefined) return issued;
  const lifetimeS = lifetimeSOf(lifetime);
  return issued.map(({ name, rule }) => ({
    name,
    rule: rule.method === 'est' ? { ...rule, lifetimeS } : rule,
  }));
}

function exampleRules(): readonly NamedRule[] {
  return ['7d', '90d', '365d'].map((life) => ({
    name: `of ${life}`,
    rule: ruleOf({ lifetime: life }),
  }));
}

/** A rule with a lifetime and, where it is given, a time of renewal, as in certificates.yaml. */
export function ruleOf(settings: {
  readonly lifetime: string;
  readonly renew_at?: string;
}): OrderRule {
  const config = configOf({ certificates: { x: { method: 'self_signed', ...settings } } });
  return orderRuleFor(config, parseCertificateId('x'));
}

function lifetimeSOf(lifetime: string): number {
  return ruleOf({ lifetime }).lifetimeS;
}

function configOf(settings: Readonly<Record<string, unknown>>): CertificatesConfig {
  const authorization = { backend: 'polkit', cache_s: 10, acl: [] };
  const empty = { authorization, grants: [], issuers: {}, trust_bundle: [] };
  const report = (_path: unknown, message: string): never => {
    throw new Error(message);
  };
  return parseCertificatesConfig({ ...empty, ...settings }, { report });
}
