import type {
  Fields,
  InterfaceDefinition,
  MethodAuthorization,
  MethodDefinition,
  PolkitCheck,
  PolkitChoice,
  ServiceDefinition,
} from '../../dbus/definition.ts';
import {
  code,
  errorsOf,
  fieldText,
  methodText,
  propertyText,
  resultText,
} from './definition-texts.ts';

/** What the reference says and the tables do not. */
export interface Rules {
  /** The name on the bus of an error of the closed set. */
  errorName(code: string): string;
  /** Which texts are ids of keys and certificates. */
  readonly idRule: string;
  /** Which texts are names and ids of modules. */
  readonly moduleRule: string;
}

/** The page of the API reference about one service, in Markdown. */
export function apiReference(service: ServiceDefinition, rules: Rules): string {
  const { busName, path, user, manager, child } = service;
  const heading = `# ${busName}

<!-- Made by npm run generate from src/interfaces. -->

${service.doc}

| | |
|---|---|
| bus name | \`${busName}\` |
| manager object | \`${path}\` |
| child objects | \`${path}/${child.segment}/<id>\`, ids escaped as \`sd_bus_path_encode\` does |
| user | \`${user}\` |

How programs are written for it, with each D-Bus library: [clients](../clients.md). What one caller may have under
way: [limits](../limits.md).
`;
  return [
    heading,
    commonPart(rules),
    interfacePage(manager, rules),
    interfacePage(child.interface, rules),
    actionsTable(service),
  ].join('\n');
}

/** What holds for every method of every service, so that it need not stand at each. */
function commonPart(rules: Rules): string {
  const rows = [
    [
      'InvalidArgs',
      'an argument or option is not what this page says, or the method has no such option',
    ],
    ['LimitsExceeded', 'something is larger, or there are more calls, than the limits allow'],
    ['AccessDenied', 'the caller is not allowed to, where this page names who is'],
    [
      'InteractiveAuthorizationRequired',
      'a person could allow it: the call lacks the flag for that',
    ],
    [
      'Unavailable',
      'the call waited 20 s for its turn and was not begun, or what is said at the method',
    ],
    ['Cancelled', 'the service stops, or `Cancel` was called'],
    ['Failed', 'a defect of the service; its journal says which'],
  ];
  const names = rows.map(([name = '', when = '']) => [code(rules.errorName(name)), when]);
  return `## Every method

Takes a dictionary of options last, which may be empty. An integer option may have any integer type that holds its
value. The option \`request_id\` (s, at most 64 printable characters) exists everywhere; root's and the services' own
follows the request through their journals.

An id of a key or certificate is ${rules.idRule}. The name or id of a module is ${rules.moduleRule}.

Fails with these, beside what is said at each:

${table(['error', 'when'], names)}`;
}

function interfacePage(definition: InterfaceDefinition, rules: Rules): string {
  const { name, doc, methods, properties, signals } = definition;
  const parts = [`## ${name}\n\n${doc}\n`];
  for (const entry of Object.entries(methods ?? {}))
    parts.push(methodPart(definition, entry, rules));
  const rows = Object.entries(properties ?? {}).map(([property, stated]) => [
    code(property),
    code(stated.type),
    stated.emits,
    propertyText(stated),
  ]);
  if (rows.length > 0) {
    parts.push(`### Properties\n\n${table(['property', 'type', 'emits change', ''], rows)}`);
  }
  for (const [signal, { doc: text, args }] of Object.entries(signals ?? {})) {
    parts.push(`### Signal ${signal}(${inline(args)})\n\n${text}\n`);
  }
  return parts.join('\n');
}

function methodPart(
  definition: InterfaceDefinition,
  [member, method]: readonly [string, MethodDefinition],
  rules: Rules,
): string {
  const { in: fields = {}, options = {}, out, records = {} } = method;
  const output = out === undefined ? '' : ` → ${inline(out)}`;
  const title = `${member}(${inline({ ...fields, options: 'a{sv}' })})${output}`;
  const at = (name: string) => ({ definition, member, name });
  const plain = Object.entries(out ?? {}).filter(([name]) => !Object.hasOwn(records, name));
  const rows = [
    ...fieldRows('argument', fields, (name, type) => fieldText(at(name), type)),
    ...fieldRows('option', options, (name, type) => fieldText(at(name), type)),
    ...fieldRows('result', Object.fromEntries(plain), (name) => resultText(at(name))),
    ...Object.entries(records).flatMap(([result, record]) =>
      fieldRows(`key of ${code(result)}`, record, (name) => resultText(at(name))),
    ),
  ];
  const errors = errorsOf(method).map(([error, when]) => [code(rules.errorName(error)), when]);
  return [
    `### ${title}\n\n${methodText(method)}\n`,
    ...(rows.length > 0 ? [table(['', '', 'type', ''], rows)] : []),
    ...(errors.length > 0 ? [table(['error', 'when'], errors)] : []),
    `Who may call: ${authorizationText(method.authorize)}.\n`,
  ].join('\n');
}

function fieldRows(
  kind: string,
  fields: Fields,
  text: (name: string, type: string) => string,
): readonly (readonly string[])[] {
  return Object.entries(fields).map(([name, type]) => [
    kind,
    code(name),
    code(type),
    text(name, type),
  ]);
}

function authorizationText(authorize: MethodAuthorization): string {
  if (authorize === 'public') return 'everybody';
  if ('among' in authorize) return `${choiceText(authorize)}, by what the call is about`;
  const checks: readonly PolkitCheck[] = 'action' in authorize ? [authorize] : authorize;
  return checks.map(checkText).join('; and ');
}

function choiceText({ among }: PolkitChoice): string {
  return [...new Set(Object.values(among).map(checkText))].join('; or ');
}

function checkText({ action, details, when }: PolkitCheck): string {
  const actions = typeof action === 'string' ? [action] : action.oneOf;
  const names = Object.values(Array.isArray(details) ? details : Object.keys(details)).map(String);
  const condition = when === undefined ? '' : ', when it applies';
  const shown = names.length === 0 ? '' : ` (${names.map(code).join(', ')})`;
  return `who is granted ${actions.map(code).join(' or ')}${shown}${condition}`;
}

function actionsTable({ actions }: ServiceDefinition): string {
  const rows = Object.entries(actions).map(([id, { description, defaults }]) => [
    code(id),
    description,
    defaults?.any ?? 'no',
    defaults?.active ?? 'auth_admin',
  ]);
  const header = ['polkit action', '', 'by default', 'at the console'];
  return `## Actions\n\n${table(header, rows)}`;
}

function inline(fields: Fields | undefined): string {
  return Object.entries(fields ?? {})
    .map(([name, type]) => `${name} ${type}`)
    .join(', ');
}

function table(header: readonly string[], rows: readonly (readonly string[])[]): string {
  const line = (cells: readonly string[]) =>
    `| ${cells.map((cell) => cell.replaceAll('|', '\\|')).join(' | ')} |\n`;
  return [line(header), line(header.map(() => '---')), ...rows.map(line)].join('');
}
