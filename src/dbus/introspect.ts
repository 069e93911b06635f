import type { Fields, InterfaceDefinition } from './definition.ts';

const doctype = `<!DOCTYPE node PUBLIC "-//freedesktop//DTD D-BUS Object Introspection 1.0//EN"
 "http://www.freedesktop.org/standards/dbus/1.0/introspect.dtd">
`;

/** Standard interfaces, as they are introspected; the dispatcher handles them itself. */
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

/** One interface of a table as introspection XML, with argument names and annotations. */
export function interfaceXml(definition: InterfaceDefinition): string {
  const { methods = {}, properties = {}, signals = {} } = definition;
  const members = [
    ...Object.entries(methods).map(([name, method]) => {
      const args = argumentsXml({ ...method.in, options: 'a{sv}' }, 'in');
      return `    <method name="${name}">\n${args}${argumentsXml(method.out, 'out')}    </method>\n`;
    }),
    ...Object.entries(properties).map(([name, { type, emits, write }]) => {
      const access = write === undefined ? 'read' : 'readwrite';
      const annotation = `      <annotation name="org.freedesktop.DBus.Property.EmitsChangedSignal" value="${emits}"/>\n`;
      return `    <property name="${name}" type="${type}" access="${access}">\n${annotation}    </property>\n`;
    }),
    ...Object.entries(signals).map(
      ([name, { args }]) =>
        `    <signal name="${name}">\n${argumentsXml(args, undefined)}    </signal>\n`,
    ),
  ];
  return `  <interface name="${definition.name}">\n${members.join('')}  </interface>\n`;
}

function argumentsXml(fields: Fields | undefined, direction: 'in' | 'out' | undefined): string {
  const attribute = direction === undefined ? '' : ` direction="${direction}"`;
  return Object.entries(fields ?? {})
    .map(([name, type]) => `      <arg name="${name}" type="${type}"${attribute}/>\n`)
    .join('');
}

/** Text as it may stand in an XML attribute or element. */
export function escapeXml(text: string): string {
  return text
    .replaceAll('&', '&amp;')
    .replaceAll('<', '&lt;')
    .replaceAll('>', '&gt;')
    .replaceAll('"', '&quot;');
}
