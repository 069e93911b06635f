import { quoted } from '../../quoted.ts';
import { memberArray, memberObject } from '../create-options.ts';
import type { JsonObject } from '../engine.ts';

/** The ports below this one are those of services that people trust by their number. */
const firstFree = 1024;
const last = 65_535;

/** Why host ports of create options may not be published, one text per reason; `''` and `0` are the engine's choice. */
export function* portReasons(createOptions: JsonObject, allowed: readonly number[]) {
  const bindings = memberObject(memberObject(createOptions, 'HostConfig'), 'PortBindings');
  for (const key of Object.keys(bindings)) {
    for (const member of memberArray(bindings, key)) {
      const { HostPort: port } = memberObject({ member }, 'member');
      const reason = port === undefined ? undefined : portReason(port, allowed);
      if (reason !== undefined) yield reason;
    }
  }
}

function portReason(port: unknown, allowed: readonly number[]): string | undefined {
  const shown = `host port ${quoted(String(port))}`;
  if (port === '') return undefined;
  const range = typeof port === 'string' ? /^([0-9]{1,5})(?:-([0-9]{1,5}))?$/.exec(port) : null;
  if (range === null) return `${shown} is neither a port nor a range of ports`;
  const [, from = '', to = from] = range;
  const [first, end] = [Number(from), Number(to)];
  if (first > end || end > last) return `${shown} is not within 0 to ${last}`;
  if (first === 0 && end === 0) return undefined;
  for (let at = first; at <= Math.min(end, firstFree - 1); at++) {
    if (!allowed.includes(at)) return `${shown}: ${at} is not in allowed_ports`;
  }
  return undefined;
}
