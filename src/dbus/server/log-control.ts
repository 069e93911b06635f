import { defineInterface } from '../definition.ts';
import type { Variant } from '../wire/variant.ts';
import type { ServedInterface, ServedObject } from './object-tree.ts';
import { PropertySet } from './properties.ts';

/** The object path of LogControl1, the same for every service. */
export const logControlPath = '/org/freedesktop/LogControl1';

/** The interface behind systemctl's `service-log-level` and `service-log-target` (org.freedesktop.LogControl1(5)). */
export const logControlInterface = defineInterface({
  name: 'org.freedesktop.LogControl1',
  doc: 'Log level and target of the service. What is set holds over idle exits and crashes; it ends with an ordered stop or restart, with a reload of another `log_level`, and when the bus starts anew.',
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

/** The settings of a log that LogControl1 reads and changes; a setter throws InvalidArgs for an invalid value. */
export interface LogControl {
  level: string;
  target: string;
  readonly syslogIdentifier: string;
}

/** Properties that are read from the log each time, since a reload changes them, too. */
class LogProperties extends PropertySet {
  readonly #control: LogControl;

  constructor(control: LogControl) {
    super(logControlInterface, valuesOf(control));
    this.#control = control;
  }

  override get(name: string): Variant | undefined {
    this.set(valuesOf(this.#control));
    return super.get(name);
  }

  override all(): Record<string, Variant> {
    this.set(valuesOf(this.#control));
    return super.all();
  }
}

function valuesOf({ level, target, syslogIdentifier }: LogControl): Record<string, string> {
  return { LogLevel: level, LogTarget: target, SyslogIdentifier: syslogIdentifier };
}

/** The LogControl1 object of a log. */
export function logControlObject(control: LogControl): ServedObject {
  const properties = new LogProperties(control);
  const served: ServedInterface = {
    definition: logControlInterface,
    properties,
    methods: new Map(),
    write: (name, value) => {
      if (name === 'LogLevel') control.level = String(value);
      else control.target = String(value);
    },
  };
  return {
    path: logControlPath,
    interfaces: new Map([[logControlInterface.name, served]]),
    managesObjects: false,
  };
}
