/** Create options that a module without elevation may not have. */
import { quoted, shown } from '../../../quoted.ts';
import { explainType, type Violation } from '../../../service/config/schema-errors.ts';
import { parsePointer, valueAt } from '../../../service/config/schema-keys.ts';
import { compile } from '../../../service/config/schema-validator.ts';
import { createOptionsSchema } from '../create-options/create-options-schema.ts';

/** A create option that needs elevation, or that is a mistake. */
export interface PolicyViolation {
  readonly text: string;
  /** Whether no engine would accept it, so that elevation does not help. */
  readonly isMistake: boolean;
}

/** Returns the violations of a schema by create options. */
export type Validate = (createOptions: unknown) => readonly PolicyViolation[];

/** An option that reaches outside the container, or may do so. */
export function elevationViolation(text: string): PolicyViolation {
  return { text, isMistake: false };
}

/** An option that no engine would accept. */
export function mistake(text: string): PolicyViolation {
  return { text, isMistake: true };
}

/** The keywords of the schema whose violation needs elevation. */
const aboutReach: ReadonlySet<string> = new Set([
  'enum',
  'const',
  'not',
  'maxItems',
  'maxProperties',
]);

/** Validates against `createOptionsSchema`. */
export function createOptionsValidator(): Validate {
  const check = compile(createOptionsSchema);
  return (createOptions) => {
    const violations = check(createOptions);
    // a name is reported on its own and as a member of its object
    const names = violations.filter(({ keyword }) => keyword === 'propertyNames');
    const isOfName = (one: Violation, { schemaPath }: Violation): boolean =>
      one.schemaPath.startsWith(`${schemaPath}/`);
    const whole = violations.filter((one) => !names.some((name) => isOfName(one, name)));
    return whole.map((one) => {
      const inner = violations.find((other) => isOfName(other, one)) ?? one;
      const reported = one.keyword === 'propertyNames' ? inner : one;
      return isMistake(reported)
        ? mistake(explain(one, createOptions))
        : elevationViolation(`${placeOf(one, createOptions)} is not allowed`);
    });
  };
}

function isMistake({ keyword, params, schemaPath }: Violation): boolean {
  if (keyword !== 'additionalProperties') return !aboutReach.has(keyword);
  return !isOtherSpelling(String(params['additionalProperty']), schemaPath);
}

/** Whether the engine would read a name as a member that it knows here: it ignores case. */
function isOtherSpelling(name: string, schemaPath: string): boolean {
  let place: unknown = createOptionsSchema;
  for (const key of schemaPath.split('/').slice(1, -1)) place = memberOf(place, key);
  const known = memberOf(place, 'properties');
  if (typeof known !== 'object' || known === null) return false;
  return Object.keys(known).some((one) => new RegExp(`^${one}$`, 'iu').test(name));
}

function memberOf(value: unknown, key: string): unknown {
  if (typeof value !== 'object' || value === null) return undefined;
  return new Map<string, unknown>(Object.entries(value)).get(key);
}

/** The path of a member, in the notation of jq and Go. */
function placeOf({ instancePath, params }: Violation, createOptions: unknown): string {
  const name = params['additionalProperty'] ?? params['propertyName'];
  const path = parsePointer(instancePath, createOptions);
  const steps = typeof name === 'string' ? [...path, name] : path;
  return `createOptions${steps.map(stepText).join('')}`;
}

function stepText(step: string | number): string {
  if (typeof step === 'number') return `[${step}]`;
  return /^[A-Za-z_]+$/.test(step) ? `.${shown(step)}` : `.${quoted(step)}`;
}

function explain(violation: Violation, createOptions: unknown): string {
  const place = placeOf(violation, createOptions);
  switch (violation.keyword) {
    case 'additionalProperties':
      return `${place} is not a member that an engine knows`;
    case 'propertyNames':
      return `${place} is not a name of the right form`;
    case 'type': {
      const path = parsePointer(violation.instancePath, createOptions);
      return explainType(place, violation.params['type'], valueAt(createOptions, path));
    }
    default:
      return `${place} ${violation.message ?? 'is not understood'}`;
  }
}
