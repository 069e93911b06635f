/** Removes secrets from what people send to others: values of environments, passwords, keys. Names stay. */
import { withoutSecrets as messageWithoutSecrets } from '../../quoted.ts';
import { imageLabel, ownerLabel } from '../docker/labels.ts';

const redacted = '<redacted>';
/** Of labels in which tools for IoT Edge keep their own data. */
const toolsLabels = 'net.azure-devices.edge.';
/** Names of members whose values are secrets. */
const secretName = /passw|secret|token|credential|auth$|accesskey|connectionstring|privatekey/i;
/** Names of options of a command line whose value is the next argument. */
const secretOption = /passw|pwd|secret|token|credential|key|auth/i;
/** Members with variables of an environment. */
const environments: ReadonlySet<string> = new Set(['env', 'environment']);
/** Within a text, such as the URI of a proxy or an argument of a command, beside those of messages. */
const secretTexts: readonly (readonly [RegExp, string])[] = [
  [/(\b[a-z][a-z0-9+.-]{0,30}:\/\/)[^\s/@]{1,1024}@/gi, `$1${redacted}@`],
  [/((?:passw(?:or)?d|secret|token)[\w-]{0,64}[=:] ?)[^\s"]+/gi, `$1${redacted}`],
];

/** A JSON value without the secrets in it. */
export function withoutSecrets(value: unknown): unknown {
  if (typeof value === 'string') return textWithoutSecrets(value);
  if (Array.isArray(value)) return elementsWithoutSecrets(value);
  if (value instanceof Map) return withoutSecrets(Object.fromEntries(value));
  if (value instanceof Set) return withoutSecrets([...value]);
  if (typeof value === 'bigint') return String(value);
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(
    Object.entries(value).map(([name, member]) => [name, memberWithoutSecrets(name, member)]),
  );
}

function elementsWithoutSecrets(elements: readonly unknown[]): readonly unknown[] {
  return elements.map((one, index) => {
    const before = elements[index - 1];
    const isValue = typeof before === 'string' && isSecretOption(before);
    return isValue && typeof one === 'string' ? redacted : withoutSecrets(one);
  });
}

function isSecretOption(text: string): boolean {
  return text.startsWith('-') && !text.includes('=') && secretOption.test(text);
}

function memberWithoutSecrets(name: string, value: unknown): unknown {
  if (environments.has(name.toLowerCase())) return withoutValues(value);
  if (name.toLowerCase() === 'createoptions' && typeof value === 'string') return parsed(value);
  if (isToolsLabel(name)) return redacted;
  const isText = typeof value === 'string' || typeof value === 'number';
  if (isText && value !== '' && secretName.test(name)) return redacted;
  return withoutSecrets(value);
}

/** Tools keep a module's environment in labels of these names. */
function isToolsLabel(name: string): boolean {
  return name.startsWith(toolsLabels) && name !== ownerLabel && name !== imageLabel;
}

/** An environment, as `NAME=value` or as members. */
function withoutValues(value: unknown): unknown {
  if (Array.isArray(value)) {
    return value.map((one: unknown) =>
      typeof one === 'string' ? one.replace(/=.*$/s, `=${redacted}`) : redacted,
    );
  }
  if (typeof value !== 'object' || value === null) return value === null ? null : redacted;
  return Object.fromEntries(Object.keys(value).map((name) => [name, redacted]));
}

function parsed(json: string): unknown {
  try {
    return withoutSecrets(JSON.parse(json));
  } catch {
    return redacted;
  }
}

function textWithoutSecrets(text: string): string {
  const known = secretTexts.reduce((left, [pattern, by]) => left.replace(pattern, by), text);
  return messageWithoutSecrets(known);
}
