import type { Bus } from '../../../src/dbus/bus.ts';
import { type IncomingMessage } from '../../../src/dbus/wire/inbox.ts';
import { messageType } from '../../../src/dbus/wire/message.ts';
import { Variant } from '../../../src/dbus/wire/variant.ts';
import { keysService } from '../../../src/interfaces/keys.ts';
import { until } from '../deadline.ts';
import { RawConnection } from '../wire/raw-connection.ts';

/** One call of Sign on the bus. */
export interface SignCall {
  readonly keyId: string;
  readonly mechanism: string;
  /** The length of the input. */
  readonly length: number;
  readonly prehashed: boolean | undefined;
  readonly requestId: string | undefined;
}

const marker = 'org.iotedge.test.Marker';
const maxElements = 4 << 20;

/** The calls of Sign on a bus, recorded by a monitor (BecomeMonitor of the D-Bus specification). */
export class KeyCalls implements Disposable {
  readonly #monitor: RawConnection;
  readonly #bus: Bus;
  #markers = 0;

  private constructor(monitor: RawConnection, bus: Bus) {
    this.#monitor = monitor;
    this.#bus = bus;
  }

  /** Starts to monitor the bus at a socket; `bus` is another connection to it. */
  static async start(socket: string, bus: Bus): Promise<KeyCalls> {
    const monitor = await RawConnection.open(socket);
    const body = Buffer.from('\0\0\0\0\0\0\0\0', 'latin1'); // no rule, which matches everything; no flags
    await monitor.call({
      type: messageType.call,
      destination: 'org.freedesktop.DBus',
      path: '/org/freedesktop/DBus',
      interface: 'org.freedesktop.DBus.Monitoring',
      member: 'BecomeMonitor',
      signature: 'asu',
      body,
    });
    return new KeyCalls(monitor, bus);
  }

  /** The calls since the last `clear`. */
  async all(): Promise<readonly SignCall[]> {
    const name = `${marker}${this.#markers++}`;
    await this.#bus.nameOwner(name);
    const isMarker = (message: IncomingMessage): boolean =>
      message.header.member === 'GetNameOwner' && message.decode(maxElements)[0] === name;
    await until(10_000, 'the monitor to catch up', () => this.#monitor.received.some(isMarker));
    return this.#monitor.received.filter(isSign).map(toCall);
  }

  /** Drops the calls so far from `all`. */
  async clear(): Promise<void> {
    await this.all();
    this.#monitor.received.length = 0;
  }

  [Symbol.dispose](): void {
    this.#monitor[Symbol.dispose]();
  }
}

function isSign({ header }: IncomingMessage): boolean {
  const { type, member, interface: name } = header;
  return type === messageType.call && name === keysService.busName && member === 'Sign';
}

function toCall(message: IncomingMessage): SignCall {
  const [keyId, mechanism, data, options] = message.decode(maxElements);
  const option = (name: string): unknown => {
    const value: unknown = Reflect.get(options as object, name); // type a{sv} in the interface table
    return value instanceof Variant ? value.value : undefined;
  };
  const [prehashed, requestId] = [option('prehashed'), option('request_id')];
  return {
    keyId: String(keyId),
    mechanism: String(mechanism),
    length: (data as Uint8Array).length,
    prehashed: prehashed === undefined ? undefined : prehashed === true,
    requestId: typeof requestId === 'string' ? requestId : undefined,
  };
}
