import type { ActionDefinition, ServiceDefinition } from '../../dbus/definition.ts';
import { escapeXml } from '../../dbus/xml.ts';

/** The polkit actions of a service. The owner annotation is what lets the service's user ask about others. */
export function polkitActions({ actions, user }: ServiceDefinition): string {
  const elements = Object.entries(actions).map(([id, action]) => actionXml(id, action, user));
  return `<?xml version="1.0" encoding="UTF-8"?>
<!DOCTYPE policyconfig PUBLIC "-//freedesktop//DTD PolicyKit Policy Configuration 1.0//EN"
 "http://www.freedesktop.org/standards/PolicyKit/1/policyconfig.dtd">
<!-- Made by npm run generate from src/interfaces. -->
<policyconfig>
  <vendor>IoT Edge</vendor>
${elements.join('')}</policyconfig>
`;
}

function actionXml(id: string, action: ActionDefinition, user: string): string {
  const { any, inactive, active } = action.defaults ?? {
    any: 'no',
    inactive: 'no',
    active: 'auth_admin',
  };
  return `
  <action id="${id}">
    <description>${escapeXml(action.description)}</description>
    <message>${escapeXml(action.message)}</message>
    <defaults>
      <allow_any>${any}</allow_any>
      <allow_inactive>${inactive}</allow_inactive>
      <allow_active>${active}</allow_active>
    </defaults>
    <annotate key="org.freedesktop.policykit.owner">unix-user:${user}</annotate>
  </action>
`;
}
