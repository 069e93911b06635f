import type { Rig } from '../rig/rig.ts';
import { type ServiceName, services } from '../rig/rig-services.ts';
import type { RigUser } from '../rig/rig-users.ts';

/** One call of a manager's method, as busctl takes it: signature and arguments. */
export interface BusctlCall {
  readonly service: ServiceName;
  readonly member: string;
  readonly args: readonly string[];
  readonly user?: RigUser;
}

/** The values of the reply, as busctl prints them in JSON; rejects with its standard error. */
export async function busctlCall(rig: Rig, call: BusctlCall): Promise<readonly unknown[]> {
  const { service, member, args, user } = call;
  const { busName, path, manager } = services[service];
  const argv = ['--json=short', 'call', busName, path, manager.name, member, ...args];
  const { code, stdout, stderr } = await rig.busctl(argv, user);
  if (code !== 0) throw new Error(`${member}: ${stderr}`);
  const reply: unknown = stdout.trim() === '' ? { data: [] } : JSON.parse(stdout);
  return fieldOf(reply, 'data') as readonly unknown[]; // busctl's reply is an array
}

/** A property of a manager, as busctl prints it in JSON. */
export async function busctlProperty(
  rig: Rig,
  service: ServiceName,
  name: string,
): Promise<unknown> {
  const { busName, path, manager } = services[service];
  const argv = ['--json=short', 'get-property', busName, path, manager.name, name];
  const { code, stdout, stderr } = await rig.busctl(argv);
  if (code !== 0) throw new Error(`${name}: ${stderr}`);
  return fieldOf(JSON.parse(stdout), 'data');
}

/** The fields of an `a{sv}` without their types. */
export function fieldsOf(dictionary: unknown): Readonly<Record<string, unknown>> {
  const entries = Object.entries(dictionary as object); // as just printed by busctl
  return Object.fromEntries(entries.map(([name, value]) => [name, fieldOf(value, 'data')]));
}

/** The arguments for an `ay`: the number of bytes, then each byte. */
export function bytesArgument(bytes: Uint8Array): readonly string[] {
  return [String(bytes.length), ...Array.from(bytes, String)];
}

function fieldOf(value: unknown, name: string): unknown {
  return new Map<string, unknown>(Object.entries(value as object)).get(name); // JSON of busctl
}
