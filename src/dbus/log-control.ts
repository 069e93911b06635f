import { defineInterface } from './definition.ts';

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
