import type {
  Authorization,
  Fields,
  InterfaceDefinition,
  MethodDefinition,
  QuestionDefinition,
  ServiceDefinition,
} from '../dbus/definition.ts';

/** The page of the API reference about one service, in Markdown. */
export function apiReference(service: ServiceDefinition): string {
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

What one caller may have under way: [limits](../limits.md).
`;
  return [
    heading,
    interfacePage(manager),
    interfacePage(child.interface),
    actionsTable(service),
  ].join('\n');
}

function interfacePage({ name, doc, methods, properties, signals }: InterfaceDefinition): string {
  const parts = [`## ${name}\n\n${doc}\n`];
  for (const [member, method] of Object.entries(methods ?? {}))
    parts.push(methodText(member, method));
  const rows = Object.entries(properties ?? {}).map(
    ([property, { type, doc: text, emits, write }]) => [
      code(property),
      code(type),
      emits,
      write === undefined ? text : `${text} May be set by root and by the service's user.`,
    ],
  );
  if (rows.length > 0) {
    parts.push(`### Properties\n\n${table(['property', 'type', 'emits change', ''], rows)}`);
  }
  for (const [signal, { doc: text, args }] of Object.entries(signals ?? {})) {
    parts.push(`### Signal ${signal}(${inline(args)})\n\n${text}\n`);
  }
  return parts.join('\n');
}

function methodText(name: string, method: MethodDefinition): string {
  const input = inline({ ...method.in, options: 'a{sv}' });
  const output = method.out === undefined ? '' : ` → ${inline(method.out)}`;
  const parts = [`### ${name}(${input})${output}\n\n${method.doc}\n`];
  if (method.options !== undefined) parts.push(`Options: ${list(method.options)}.\n`);
  for (const [result, fields] of Object.entries(method.records ?? {})) {
    parts.push(`Keys of ${code(result)}: ${list(fields)}.\n`);
  }
  const sizes = sizesText(method);
  if (sizes !== '') parts.push(`At most: ${sizes}.\n`);
  if (method.waits === true) {
    parts.push('Waits for an operation or another service, perhaps longer than a client waits.\n');
  }
  parts.push(`Who may call: ${authorizationText(method.authorize)}.\n`);
  return parts.join('\n');
}

function sizesText({ check = {} }: MethodDefinition): string {
  return Object.entries(check)
    .flatMap(([name, limit]) => {
      if (typeof limit === 'string') return [];
      const most = 'maxBytes' in limit ? bytesText(limit.maxBytes) : String(limit.maxValue);
      return [`${code(name)} ${most}`];
    })
    .join(', ');
}

function bytesText(bytes: number): string {
  if (bytes % (1 << 20) === 0) return `${bytes >> 20} MiB`;
  return bytes % 1024 === 0 ? `${bytes >> 10} KiB` : `${bytes} bytes`;
}

function authorizationText(authorize: Authorization): string {
  if (authorize === 'public') return 'everybody';
  const questions: readonly QuestionDefinition[] = 'action' in authorize ? [authorize] : authorize;
  return questions.map(questionText).join('; and ');
}

function questionText({ action, details, when }: QuestionDefinition): string {
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

function list(fields: Fields): string {
  return Object.entries(fields)
    .map(([name, type]) => code(`${name} ${type}`))
    .join(', ');
}

function table(header: readonly string[], rows: readonly (readonly string[])[]): string {
  const line = (cells: readonly string[]) =>
    `| ${cells.map((cell) => cell.replaceAll('|', '\\|')).join(' | ')} |\n`;
  return [line(header), line(header.map(() => '---')), ...rows.map(line)].join('');
}

function code(text: string): string {
  return `\`${text}\``;
}
