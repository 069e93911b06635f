import type { ServiceDefinition } from '../../dbus/definition.ts';

/**
 * The D-Bus policy of a service: its user alone owns the name, anyone may send to it, nobody with file descriptors: to
 * close one may take as long as its sender likes (SO_LINGER). That is denied to all connections of the user, since
 * signals reach them by their unique names. Replies are exempt: the bus identifies a caller with a descriptor.
 * Destinations are exact names because dbus-broker knows no prefixes.
 */
export function busPolicy({ busName, user }: ServiceDefinition): string {
  return `<!DOCTYPE busconfig PUBLIC "-//freedesktop//DTD D-BUS Bus Configuration 1.0//EN"
 "http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd">
<!-- Made by npm run generate from src/interfaces. -->
<busconfig>
  <policy user="${user}">
    <allow own="${busName}"/>
    <deny receive_type="method_call" min_fds="1"/>
    <deny receive_type="signal" min_fds="1"/>
    <deny receive_type="error" min_fds="1"/>
  </policy>
  <policy context="default">
    <allow send_destination="${busName}" max_fds="0"/>
  </policy>
</busconfig>
`;
}
