import { type ChildProcess, spawn } from 'node:child_process';
import type { Bus } from '../../../src/dbus/bus.ts';
import { type IncomingMessage } from '../../../src/dbus/wire/inbox.ts';
import { Message, messageType } from '../../../src/dbus/wire/message.ts';
import { type Variant, variant } from '../../../src/dbus/wire/variant.ts';

const manager = {
  path: '/org/freedesktop/systemd1',
  interface: 'org.freedesktop.systemd1.Manager',
} as const;

export type Starter = (command: string, args: readonly string[]) => ChildProcess;

const detached: Starter = (command, args) =>
  spawn('setpriv', ['--pdeathsig=KILL', command, ...args], { stdio: 'ignore' });

/**
 * The part of systemd that dbus-broker uses: dbus-broker does not start services itself, but requests a transient unit
 * for the owner of each name, and is notified when the unit failed.
 */
export class TransientUnits {
  readonly #bus: Bus;
  readonly #start: Starter;
  #jobs = 0;

  private constructor(bus: Bus, start: Starter) {
    this.#bus = bus;
    this.#start = start;
  }

  /** Serves a bus until the connection `bus` is closed. */
  static async serve(bus: Bus, start: Starter = detached): Promise<void> {
    const units = new TransientUnits(bus, start);
    bus.serveCalls({ maxBodyBytes: () => 64 << 10, receive: (call) => units.#respond(call) });
    await bus.requestName('org.freedesktop.systemd1');
  }

  #respond(call: IncomingMessage): void {
    const { member } = call.header;
    const [unit, , properties] = call.decode(4096);
    if (member === 'LoadUnit') return this.#reply(call, 'o', [pathOf(unit)]);
    if (member !== 'StartTransientUnit') return this.#reply(call, '', []); // Subscribe
    this.#jobs += 1;
    const job = `${manager.path}/job/${this.#jobs}`;
    this.#reply(call, 'o', [job]);
    const [program = '', ...args] = commandOf(properties);
    const child = this.#start(program, args);
    child.once('spawn', () => {
      this.#signal({ ...manager, member: 'JobRemoved' }, 'uoss', [this.#jobs, job, unit, 'done']);
    });
    child.once('exit', (code) => this.#report(unit, code === 0 ? 'inactive' : 'failed'));
    child.once('error', () => this.#report(unit, 'failed'));
  }

  #report(unit: unknown, state: string): void {
    const properties = { path: pathOf(unit), interface: 'org.freedesktop.DBus.Properties' };
    const changed = { ActiveState: variant('s', state) };
    const body = ['org.freedesktop.systemd1.Unit', changed, []];
    this.#signal({ ...properties, member: 'PropertiesChanged' }, 'sa{sv}as', body);
  }

  #reply({ header }: IncomingMessage, signature: string, body: unknown[]): void {
    const to = { replySerial: header.serial, destination: header.sender };
    this.#bus.send(new Message({ type: messageType.reply, ...to, signature, body }));
  }

  #signal(
    from: { readonly path: string; readonly interface: string; readonly member: string },
    signature: string,
    body: unknown[],
  ): void {
    this.#bus.send(new Message({ type: messageType.signal, ...from, signature, body }));
  }
}

function pathOf(unit: unknown): string {
  return `${manager.path}/unit/${Buffer.from(String(unit)).toString('hex')}`;
}

/** The command of `ExecStart`, an `a(sasb)` among properties `a(sv)`. */
function commandOf(properties: unknown): readonly string[] {
  for (const [name, value] of properties as [string, Variant][]) // in a call of dbus-broker's launcher
    if (name === 'ExecStart') return (value.value as [[string, string[], boolean]])[0][1];
  throw new TypeError('a transient unit without ExecStart');
}
