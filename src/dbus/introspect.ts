import type { Fields, InterfaceDefinition } from './definition.ts';
import { escapeXml } from './xml.ts';

const doctype = `<!DOCTYPE node PUBLIC "-//freedesktop//DTD D-BUS Object Introspection 1.0//EN"
 "http://www.freedesktop.org/standards/dbus/1.0/introspect.dtd">
`;

/** The introspection of the standard interfaces, which the dispatcher handles itself. */
export const standardInterfaces = {
  peer: `  <interface name="org.freedesktop.DBus.Peer">
    <method name="Ping"/>
    <method name="GetMachineId">
      <arg name="machine_uuid" type="s" direction="out"/>
    </method>
  </interface>
`,
  introspectable: `  <interface name="org.freedesktop.DBus.Introspectable">
    <method name="Introspect">
      <arg name="xml_data" type="s" direction="out"/>
    </method>
  </interface>
`,
  properties: `  <interface name="org.freedesktop.DBus.Properties">
    <method name="Get">
      <arg name="interface_name" type="s" direction="in"/>
      <arg name="property_name" type="s" direction="in"/>
      <arg name="value" type="v" direction="out"/>
    </method>
    <method name="GetAll">
      <arg name="interface_name" type="s" direction="in"/>
      <arg name="properties" type="a{sv}" direction="out"/>
    </method>
    <method name="Set">
      <arg name="interface_name" type="s" direction="in"/>
      <arg name="property_name" type="s" direction="in"/>
      <arg name="value" type="v" direction="in"/>
    </method>
    <signal name="PropertiesChanged">
      <arg name="interface_name" type="s"/>
      <arg name="changed_properties" type="a{sv}"/>
      <arg name="invalidated_properties" type="as"/>
    </signal>
  </interface>
`,
  objectManager: `  <interface name="org.freedesktop.DBus.ObjectManager">
    <method name="GetManagedObjects">
      <arg name="objects" type="a{oa{sa{sv}}}" direction="out"/>
    </method>
    <signal name="InterfacesAdded">
      <arg name="object_path" type="o"/>
      <arg name="interfaces" type="a{sa{sv}}"/>
    </signal>
    <signal name="InterfacesRemoved">
      <arg name="object_path" type="o"/>
      <arg name="interfaces" type="as"/>
    </signal>
  </interface>
`,
} as const;

/** A whole introspection document: interfaces already rendered, then child nodes by relative name. */
export function introspectionXml(
  interfaces: readonly string[],
  children: readonly string[] = [],
): string {
  const nodes = children.map((name) => `  <node name="${escapeXml(name)}"/>\n`);
  return `${doctype}<node>\n${interfaces.join('')}${nodes.join('')}</node>\n`;
}

/** The `org.gtk.GDBus.DocString` of an interface and of its members; an empty text is left out. */
export interface Documentation {
  readonly interface: string;
  member(name: string): string;
  argument(member: string, name: string): string;
}

/**
 * One interface of a table as introspection XML, with the names of arguments and the annotations without which
 * generated code does not compile or loses bytes. Only files have documentation; the replies of services have none.
 */
export function interfaceXml(
  definition: InterfaceDefinition,
  documentation: Documentation = undocumented,
): string {
  const { methods = {}, properties = {}, signals = {} } = definition;
  const doc = (name: string): string => docXml(documentation.member(name), '      ');
  const members = [
    ...Object.entries(methods).map(([name, method]) => {
      const fields = { in: { ...method.in, options: 'a{sv}' }, out: method.out ?? {} };
      const args = [...argumentsOf(fields.in, 'in'), ...argumentsOf(fields.out, 'out')];
      return memberXml('method', name, args, documentation);
    }),
    ...Object.entries(properties).map(([name, { type, emits, write }]) => {
      const access = write === undefined ? 'read' : 'readwrite';
      const annotations = [
        annotationXml('org.freedesktop.DBus.Property.EmitsChangedSignal', emits, '      '),
        bytesAnnotation(type, '      '),
        qtAnnotation(type, '', '      '),
      ];
      return `    <property name="${name}" type="${type}" access="${access}">\n${doc(name)}${annotations.join('')}    </property>\n`;
    }),
    ...Object.entries(signals).map(([name, { args }]) =>
      memberXml('signal', name, argumentsOf(args ?? {}, undefined), documentation),
    ),
  ];
  const own = docXml(documentation.interface, '    ');
  return `  <interface name="${definition.name}">\n${own}${members.join('')}  </interface>\n`;
}

const undocumented: Documentation = { interface: '', member: () => '', argument: () => '' };

interface Argument {
  readonly name: string;
  readonly type: string;
  readonly direction: 'in' | 'out' | undefined;
  /** The position among the arguments of its direction. */
  readonly index: number;
}

function argumentsOf(fields: Fields, direction: Argument['direction']): readonly Argument[] {
  return Object.entries(fields).map(([name, type], index) => ({ name, type, direction, index }));
}

function memberXml(
  kind: 'method' | 'signal',
  member: string,
  args: readonly Argument[],
  documentation: Documentation,
): string {
  const types = args.map(({ type, direction, index }) =>
    qtAnnotation(type, direction === 'in' ? `.In${index}` : `.Out${index}`, '      '),
  );
  const elements = args.map(({ name, type, direction }) => {
    const attribute = direction === undefined ? '' : ` direction="${direction}"`;
    const doc = docXml(documentation.argument(member, name), '        ');
    const content = `${doc}${bytesAnnotation(type, '        ')}`;
    const open = `      <arg name="${name}" type="${type}"${attribute}`;
    return content === '' ? `${open}/>\n` : `${open}>\n${content}      </arg>\n`;
  });
  const doc = docXml(documentation.member(member), '      ');
  const content = [doc, ...types, ...elements].join('');
  return `    <${kind} name="${member}">\n${content}    </${kind}>\n`;
}

/** Without this, gdbus-codegen treats `ay` as a string that ends at the first NUL. */
function bytesAnnotation(type: string, indent: string): string {
  return type === 'ay' ? annotationXml('org.gtk.GDBus.C.ForceGVariant', 'true', indent) : '';
}

/** The types that qdbusxml2cpp needs an annotation for; Qt supports `aa{sv}` after `qDBusRegisterMetaType`. */
const qtTypes: Readonly<Record<string, string>> = {
  'a{sv}': 'QVariantMap',
  'a{ss}': 'QMap<QString,QString>',
  'aa{sv}': 'QList<QVariantMap>',
};

function qtAnnotation(type: string, place: string, indent: string): string {
  const qtType = qtTypes[type];
  if (qtType === undefined) return '';
  return annotationXml(`org.qtproject.QtDBus.QtTypeName${place}`, qtType, indent);
}

function docXml(text: string, indent: string): string {
  return text === '' ? '' : annotationXml('org.gtk.GDBus.DocString', text, indent);
}

function annotationXml(name: string, value: string, indent: string): string {
  return `${indent}<annotation name="${name}" value="${escapeXml(value)}"/>\n`;
}
