import { quoted } from '../../../quoted.ts';
import { memberArray, memberObject } from '../create-options/create-options.ts';
import type { JsonObject } from '../engine/container-engine.ts';
import { elevationViolation, mistake, type PolicyViolation } from './policy-violation.ts';

/** Ports below this one belong to services that clients trust by their number. */
const firstFree = 1024;
const last = 65_535;

/** The host ports of create options that may not be published; `''` and `0` are the engine's choice. */
export function* portViolations(
  createOptions: JsonObject,
  allowed: readonly number[],
): Generator<PolicyViolation> {
  const bindings = memberObject(memberObject(createOptions, 'HostConfig'), 'PortBindings');
  for (const key of Object.keys(bindings)) {
    for (const member of memberArray(bindings, key)) {
      const { HostPort: port } = memberObject({ member }, 'member');
      const violation = typeof port === 'string' ? portViolation(port, allowed) : undefined;
      if (violation !== undefined) yield violation;
    }
  }
}

function portViolation(port: string, allowed: readonly number[]): PolicyViolation | undefined {
  const what = `host port ${quoted(port)}`;
  if (port === '') return undefined;
  const range = /^([0-9]{1,5})(?:-([0-9]{1,5}))?$/.exec(port);
  if (range === null) return mistake(`${what} is neither a port nor a range of ports`);
  const [, from = '', to = from] = range;
  const [first, end] = [Number(from), Number(to)];
  if (first > end || end > last) return mistake(`${what} is not within 0 to ${last}`);
  if (first === 0 && end === 0) return undefined;
  for (let at = first; at <= Math.min(end, firstFree - 1); at++) {
    if (!allowed.includes(at)) return elevationViolation(`${what}: ${at} is not in allowed_ports`);
  }
  return undefined;
}
