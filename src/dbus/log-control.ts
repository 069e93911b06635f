import { defineInterface } from './definition.ts';
import type { ServedInterface, ServedObject } from './object-tree.ts';
import { PropertySet } from './properties.ts';

/** Where LogControl1 lives on every service. */
export const logControlPath = '/org/freedesktop/LogControl1';

/** What systemd's `service-log-level` and `service-log-target` speak (org.freedesktop.LogControl1(5)). */
export const logControlInterface = defineInterface({
  name: 'org.freedesktop.LogControl1',
  doc: 'Log level and target of the service.',
  properties: {
    LogLevel: {
      type: 's',
      emits: 'false',
      write: 'owner',
      doc: '`emerg`, `alert`, `crit`, `err`, `warning`, `notice`, `info` or `debug`.',
    },
    LogTarget: { type: 's', emits: 'false', write: 'owner', doc: '`journal` or `console`.' },
    SyslogIdentifier: { type: 's', emits: 'const', doc: 'Such as `iotedge-keys`.' },
  },
});

/** What the log of a process lets LogControl1 read and change; a setter throws InvalidArgs for a wrong value. */
export interface LogControl {
  level: string;
  target: string;
  readonly syslogIdentifier: string;
}

/** The object that speaks LogControl1 for a log. */
export function logControlObject(control: LogControl): ServedObject {
  const values = (): Record<string, string> => ({
    LogLevel: control.level,
    LogTarget: control.target,
    SyslogIdentifier: control.syslogIdentifier,
  });
  const properties = new PropertySet(logControlInterface, values());
  const served: ServedInterface = {
    definition: logControlInterface,
    properties,
    methods: new Map(),
    write: (name, value) => {
      if (name === 'LogLevel') control.level = String(value);
      else control.target = String(value);
      properties.set(values());
    },
  };
  return {
    path: logControlPath,
    interfaces: new Map([[logControlInterface.name, served]]),
    managesObjects: false,
  };
}
