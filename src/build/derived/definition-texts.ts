import type {
  Check,
  Fields,
  InterfaceDefinition,
  MethodDefinition,
  PropertyDefinition,
} from '../../dbus/definition.ts';

/** Texts about one member that the reference and the documentation in the interface files share. */

/** A member of an interface and one of its arguments, options or keys of results. */
export interface Place {
  readonly definition: InterfaceDefinition;
  readonly member: string;
  readonly name: string;
}

/** The note on an argument, option or result; `` when there is none. */
function noteOf({ definition: { notes = {} }, member, name }: Place): string {
  return notes[`${member}.${name}`] ?? notes[name] ?? '';
}

/** The meaning and the restrictions of an argument or option. */
export function fieldText(place: Place, type: string): string {
  const method = place.definition.methods?.[place.member];
  const restriction = method === undefined ? '' : restrictionOf(method, place.name, type);
  return [noteOf(place), restriction].filter((text) => text !== '').join(' ');
}

/** The meaning of a result, or of a key of one, and its possible values. */
export function resultText(place: Place): string {
  const words = place.definition.methods?.[place.member]?.values?.[place.name];
  const text = words === undefined ? '' : wordsText(words, 's');
  return [noteOf(place), text].filter((one) => one !== '').join(' ');
}

/** The restrictions of an argument or option: its possible values, its largest size. */
function restrictionOf({ check = {} }: MethodDefinition, name: string, type: string): string {
  const limit = check[name];
  return limit === undefined ? '' : restrictionText(limit, type);
}

const nameTexts: Readonly<Record<Extract<Check, string>, string>> = {
  'key-id': 'A key id.',
  'certificate-id': 'A certificate id.',
  'module-id': 'A module id.',
  'module-name': 'The name of a module.',
};

function restrictionText(limit: Check, type: string): string {
  if (typeof limit === 'string') return nameTexts[limit];
  if ('oneOf' in limit) return wordsText(limit.oneOf, type);
  const most = 'maxBytes' in limit ? bytesText(limit.maxBytes) : String(limit.maxValue);
  return `At most ${most}.`;
}

/** The possible values of a text, or of each text of an array. */
export function wordsText(words: readonly string[], type: string): string {
  return `${type === 'as' ? 'Each' : 'One'} of ${words.map(code).join(', ')}.`;
}

/** The meaning of a property and its possible values. */
export function propertyText({ doc, values, type, record, write }: PropertyDefinition): string {
  const parts = [doc];
  if (values !== undefined) parts.push(wordsText(values, type));
  if (record !== undefined) parts.push(`Keys: ${listOf(record)}.`);
  if (write !== undefined) parts.push("May be set by root and by the service's user.");
  return parts.join(' ');
}

/** The description of a method, with the duration of its calls and the marks that concern the caller. */
export function methodText(method: MethodDefinition): string {
  return [method.doc, durationText(method), readText(method)].filter(Boolean).join(' ');
}

/** The duration of a call that may exceed the default timeout of clients; `` for others. */
export function durationText({ waits, long, options = {} }: MethodDefinition): string {
  if (waits !== true && long !== true) return '';
  const start =
    'May take longer than 25 s, the default timeout of D-Bus clients: give it a longer one';
  return 'wait' in options
    ? `${start}, or \`wait\` false: the reply then comes when the operation is accepted and persisted, and properties show its progress. The same call joins the one in progress; until it has ended, every other operation of the id is Unavailable.`
    : `${start}.`;
}

function readText({ reads }: MethodDefinition): string {
  return reads === true ? 'It only reads: a call that expects no reply is not executed.' : '';
}

/** The errors of a handler and their causes, by names without their prefix. */
export function errorsOf({
  errors = {},
}: MethodDefinition): readonly (readonly [string, string])[] {
  return Object.entries(errors).sort(([one], [other]) => one.localeCompare(other));
}

/** Names with their types, in one line. */
export function listOf(fields: Fields): string {
  return Object.entries(fields)
    .map(([name, type]) => code(`${name} ${type}`))
    .join(', ');
}

/** Text as code in Markdown. */
export function code(text: string): string {
  return text === '' ? '`""`' : `\`${text}\``;
}

function bytesText(bytes: number): string {
  if (bytes % (1 << 20) === 0) return `${bytes >> 20} MiB`;
  return bytes % 1024 === 0 ? `${bytes >> 10} KiB` : `${bytes} bytes`;
}
