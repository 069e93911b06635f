import { cp, mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { ServiceDefinition } from '../../../src/dbus/definition.ts';

/** The stock system.conf with another socket and the policies and activation files of the rig. */
function configuration(directory: string): string {
  return `<!DOCTYPE busconfig PUBLIC "-//freedesktop//DTD D-Bus Bus Configuration 1.0//EN"
 "http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd">
<busconfig>
  <type>system</type>
  <listen>unix:path=${directory}/bus</listen>
  <auth>EXTERNAL</auth>
  <servicedir>${directory}/dbus/services</servicedir>
  <policy context="default">
    <allow user="*"/>
    <deny own="*"/>
    <deny send_type="method_call"/>
    <allow send_type="signal"/>
    <allow send_requested_reply="true" send_type="method_return"/>
    <allow send_requested_reply="true" send_type="error"/>
    <allow receive_type="method_call"/>
    <allow receive_type="method_return"/>
    <allow receive_type="error"/>
    <allow receive_type="signal"/>
    <allow send_destination="org.freedesktop.DBus" send_interface="org.freedesktop.DBus"/>
    <allow send_destination="org.freedesktop.DBus" send_interface="org.freedesktop.DBus.Introspectable"/>
    <allow send_destination="org.freedesktop.DBus" send_interface="org.freedesktop.DBus.Properties"/>
    <deny send_destination="org.freedesktop.DBus" send_interface="org.freedesktop.DBus" send_member="UpdateActivationEnvironment"/>
    <deny send_destination="org.freedesktop.DBus" send_interface="org.freedesktop.DBus.Debug.Stats"/>
  </policy>
  <policy user="root">
    <allow send_destination="org.freedesktop.DBus" send_interface="org.freedesktop.DBus.Monitoring"/>
    <allow send_destination="org.freedesktop.DBus" send_interface="org.freedesktop.DBus.Debug.Stats"/>
    <allow own="org.freedesktop.PolicyKit1"/>
    <allow own="org.freedesktop.systemd1"/>
    <allow send_destination="org.freedesktop.systemd1"/>
  </policy>
  <policy user="polkitd">
    <allow own="org.freedesktop.PolicyKit1"/>
  </policy>
  <policy context="default">
    <allow send_destination="org.freedesktop.PolicyKit1"/>
  </policy>
  <includedir>${directory}/dbus/system.d</includedir>
</busconfig>
`;
}

/** A service that the bus activates. */
export interface Activation {
  readonly service: ServiceDefinition;
  /** The shell script that executes the service. */
  readonly launcher: string;
}

/** Writes the configuration of the bus, with the project's policies and the activation files. */
export async function writeBusConfiguration(
  directory: string,
  policies: string,
  activations: readonly Activation[],
): Promise<void> {
  await mkdir(join(directory, 'dbus/services'), { recursive: true });
  await mkdir(join(directory, 'dbus/system.d'));
  await writeFile(join(directory, 'dbus/system.conf'), configuration(directory));
  for (const { service, launcher } of activations) {
    const { busName, user } = service;
    const policy = `${busName}.conf`;
    await cp(join(policies, policy), join(directory, 'dbus/system.d', policy));
    // without a set-uid helper the bus runs the program as root: the launcher switches to the user
    const file = `[D-BUS Service]\nName=${busName}\nExec=/bin/sh ${launcher}\nUser=${user}\n`;
    await writeFile(join(directory, 'dbus/services', `${busName}.service`), file);
  }
}
