import { quoted, shown } from '../../quoted.ts';
import { azureSetting } from './azure-settings.ts';
import { formatPath, nearest, type SettingPath } from './config-problem.ts';
import { candidateKeys, parsePointer, valueAt } from './schema-keys.ts';

/** One mismatch between a value and a schema, as ajv reports it. */
export interface Violation {
  readonly instancePath: string;
  readonly schemaPath: string;
  readonly keyword: string;
  readonly params: Readonly<Record<string, unknown>>;
  readonly message?: string;
}

/** Lists all mismatches in a value. */
export type Validate = (value: unknown) => readonly Violation[];

/** A violation in words: the setting, whether its key or its value is wrong, why, and what was probably meant. */
export interface Explanation {
  readonly path: SettingPath;
  readonly about: 'key' | 'value';
  readonly message: string;
  readonly suggestion?: string;
}

/** The violations in words, without the redundant ones that alternatives in a schema cause. */
export function explain(
  violations: readonly Violation[],
  schema: unknown,
  value: unknown,
): readonly Explanation[] {
  const explained = withoutEchoes(violations).map((violation) =>
    explainOne(violation, schema, value),
  );
  const seen = new Set<string>();
  return explained.filter(({ path, message }) => {
    const key = JSON.stringify([path, message]);
    return !seen.has(key) && seen.add(key);
  });
}

/**
 * For an `anyOf` or `oneOf` that failed, ajv reports every branch and then the whole. A branch with an error inside the
 * value was probably intended, so only its errors are returned; when all branches report only a wrong type or a missing
 * key, they are combined to one violation.
 */
function withoutEchoes(violations: readonly Violation[]): readonly Violation[] {
  let kept = violations.filter(({ keyword }) => keyword !== 'if');
  for (const choice of kept.filter(({ keyword }) => keyword === 'anyOf' || keyword === 'oneOf')) {
    const branches = kept.filter((one) => one.schemaPath.startsWith(`${choice.schemaPath}/`));
    const specific = branches.filter((one) => !isShallow(one, choice.instancePath));
    const dropped = new Set([choice, ...branches.filter((one) => !specific.includes(one))]);
    kept = kept.filter((violation) => !dropped.has(violation));
    if (specific.length === 0) kept.push(summarize(choice, branches));
  }
  return kept;
}

function isShallow({ keyword, instancePath }: Violation, choicePath: string): boolean {
  return instancePath === choicePath && (keyword === 'type' || keyword === 'required');
}

function summarize(choice: Violation, branches: readonly Violation[]): Violation {
  const missing = branches.flatMap(({ params }) => params['missingProperty'] ?? []);
  const types = branches.flatMap(({ params }) => params['type'] ?? []);
  if (missing.length > 0) return { ...choice, keyword: 'required', params: { missing } };
  if (types.length > 0) return { ...choice, keyword: 'type', params: { type: types } };
  return choice;
}

function explainOne(violation: Violation, schema: unknown, value: unknown): Explanation {
  const path = parsePointer(violation.instancePath, value);
  const { params } = violation;
  const name = path.length === 0 ? 'the configuration' : JSON.stringify(formatPath(path));
  const about = 'value' as const;
  switch (violation.keyword) {
    case 'additionalProperties':
    case 'unevaluatedProperties': {
      const key = String(params['additionalProperty'] ?? params['unevaluatedProperty']);
      return explainUnknownKey(key, path, schema);
    }
    case 'propertyNames': {
      const key = String(params['propertyName']);
      const message = `${quoted(key)} is not a name that ${name} can have`;
      return { path: [...path, key], about: 'key', message };
    }
    case 'required':
      return { path, about, message: `${name} lacks ${explainMissing(params)}` };
    case 'type':
      return { path, about, message: explainType(name, params['type'], valueAt(value, path)) };
    case 'enum':
      return explainEnum(name, path, params['allowedValues'], valueAt(value, path));
    case 'const':
      return { path, about, message: `${name} must be ${JSON.stringify(params['allowedValue'])}` };
    case 'pattern':
      return {
        path,
        about,
        message: `${name} does not have the right form${formOf(violation, schema)}`,
      };
    case 'discriminator':
      return { path, about, message: `${name} needs a known ${JSON.stringify(params['tag'])}` };
    default:
      return {
        path,
        about,
        message: `${name} ${violation.message ?? `fails ${violation.keyword}`}`,
      };
  }
}

/** What the schema says of a setting, for a value that its pattern refuses. */
function formOf({ schemaPath }: Violation, schema: unknown): string {
  const description = textAt(`${schemaPath.replace(/\/pattern$/, '')}/description`, schema);
  if (description === '') return '';
  const text = description.replace(/\.$/, '');
  return `: ${text.charAt(0).toLowerCase()}${text.slice(1)}`;
}

/** The text at a JSON pointer, as a URI fragment. */
function textAt(pointer: string, root: unknown): string {
  const keys = pointer.replace(/^#\/?/, '').split('/').map(decodeURIComponent);
  const found = keys.reduce<unknown>((node, key) => {
    const name = key.replace(/~1/g, '/').replace(/~0/g, '~');
    const isNode = typeof node === 'object' && node !== null && Object.hasOwn(node, name);
    return isNode ? Reflect.get(node, name) : undefined;
  }, root);
  return typeof found === 'string' ? found : '';
}

function explainMissing(params: Violation['params']): string {
  const missing: readonly unknown[] = Array.isArray(params['missing'])
    ? params['missing']
    : [params['missingProperty']];
  return missing.map((key) => JSON.stringify(key)).join(' or ');
}

function explainUnknownKey(key: string, path: SettingPath, schema: unknown): Explanation {
  const place = path.length === 0 ? '' : ` in ${JSON.stringify(formatPath(path))}`;
  const unknown = { path: [...path, key], about: 'key' } as const;
  const message = `unknown key ${quoted(key)}${place}`;
  const known = azureSetting(path, key);
  if (known !== undefined) return { ...unknown, message: `${message}: ${known}` };
  // a suggestion may repeat the key
  const suggestion =
    shown(key) === key ? nearest(key, candidateKeys(schema, path, key)) : undefined;
  return { ...unknown, message, ...(suggestion !== undefined && { suggestion }) };
}

const typeNames: Readonly<Record<string, string>> = {
  object: 'a map',
  array: 'a list',
  string: 'a text',
  boolean: 'true or false',
  integer: 'a whole number',
  number: 'a number',
  null: 'empty',
};

/** The message for a value of the wrong type, in the user's terms instead of JSON's. */
export function explainType(name: string, type: unknown, value: unknown): string {
  if (value === null) return `${name} has no value`;
  const types = [...new Set(Array.isArray(type) ? type : [type])];
  const wanted = types.map((one) => typeNames[String(one)] ?? String(one)).join(' or ');
  // 1.10 and 0644 are numbers in YAML, and lose a digit
  const isBare = typeof value === 'number' || typeof value === 'boolean';
  const hint = isBare && types.includes('string') ? ': write it in quotes' : '';
  return `${name} must be ${wanted}${hint}`;
}

function explainEnum(
  name: string,
  path: SettingPath,
  allowed: unknown,
  value: unknown,
): Explanation {
  const values: unknown[] = Array.isArray(allowed) ? allowed : [];
  const texts = values.filter((one) => typeof one === 'string');
  const suggestion = typeof value === 'string' ? nearest(value, texts) : undefined;
  const list = values.map((one) => JSON.stringify(one)).join(', ');
  return {
    path,
    about: 'value',
    message: `${name} must be ${values.length > 1 ? 'one of ' : ''}${list}`,
    ...(suggestion !== undefined && { suggestion }),
  };
}
