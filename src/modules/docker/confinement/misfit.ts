/** What create options have that a module without elevation may not have. */
import { quoted, shown } from '../../../quoted.ts';
import { explainType, type Violation } from '../../../service/config/schema-errors.ts';
import { parsePointer, valueAt } from '../../../service/config/schema-keys.ts';
import { compile } from '../../../service/config/schema-validator.ts';
import { createOptionsSchema } from '../create-options/create-options-schema.ts';

/** One thing in create options that does not fit. */
export interface Misfit {
  readonly text: string;
  /** Whether no engine would take it, so that elevation does not help. */
  readonly isMistake: boolean;
}

/** Says what in create options does not fit a schema; nothing when they do. */
export type Validate = (createOptions: unknown) => readonly Misfit[];

/** What reaches outside the container, or is not known not to. */
export function reachingOut(text: string): Misfit {
  return { text, isMistake: false };
}

/** What no engine would take. */
export function mistake(text: string): Misfit {
  return { text, isMistake: true };
}

/** The keywords of the schema that are about what reaches out. */
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
    // a name is reported by itself and as one of its object
    const names = violations.filter(({ keyword }) => keyword === 'propertyNames');
    const isOfName = (one: Violation, { schemaPath }: Violation): boolean =>
      one.schemaPath.startsWith(`${schemaPath}/`);
    const whole = violations.filter((one) => !names.some((name) => isOfName(one, name)));
    return whole.map((one) => {
      const inner = violations.find((other) => isOfName(other, one)) ?? one;
      const judged = one.keyword === 'propertyNames' ? inner : one;
      return isMistake(judged)
        ? mistake(explain(one, createOptions))
        : reachingOut(`${placeOf(one, createOptions)} is not allowed`);
    });
  };
}

function isMistake({ keyword, params, schemaPath }: Violation): boolean {
  if (keyword !== 'additionalProperties') return !aboutReach.has(keyword);
  return !isOtherSpelling(String(params['additionalProperty']), schemaPath);
}

/** Whether the engine would take a name for one that it knows in this place: it folds letters. */
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

/** Where it is, down to the member, as jq and Go write it. */
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
      return `${place} is no member that an engine knows`;
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
