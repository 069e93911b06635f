import type { Bus } from '../../../src/dbus/bus.ts';
import { Message, messageType } from '../../../src/dbus/wire/message.ts';
import { keysService } from '../../../src/interfaces/keys.ts';
import { PrivateBus } from '../rig/private-bus.ts';

/** A reply, with a body that may not fit the method, or an error. */
export interface OddReply {
  readonly error?: string;
  readonly signature?: string;
  readonly body?: readonly unknown[];
}

/** A received call. */
export interface OddCall {
  readonly sender: string | undefined;
  readonly serial: number;
  readonly path: string | undefined;
  readonly member: string | undefined;
  readonly signature: string;
  readonly body: readonly unknown[];
}

/** A double of the Keys service that sends the reply of a test to each call, valid for the method or not. */
export class OddKeys implements AsyncDisposable {
  readonly bus: PrivateBus;
  readonly calls: OddCall[] = [];
  /** The reply to each call; no reply while it is undefined. */
  reply: OddReply | undefined;
  readonly #connection: Bus;

  private constructor(bus: PrivateBus, connection: Bus) {
    this.bus = bus;
    this.#connection = connection;
  }

  static async start(): Promise<OddKeys> {
    const bus = await PrivateBus.start();
    const connection = await bus.connect();
    const keys = new OddKeys(bus, connection);
    connection.serveCalls({
      maxBodyBytes: () => 1 << 20,
      receive: (message) => {
        const { path, member, signature, sender, serial } = message.header;
        const body = message.decode(1 << 20);
        const call = { path, member, signature, sender, serial, body };
        keys.calls.push(call);
        if (keys.reply !== undefined) keys.respond(call, keys.reply);
      },
    });
    await connection.requestName(keysService.busName);
    return keys;
  }

  respond({ sender, serial }: OddCall, { error, ...content }: OddReply): void {
    const address = { destination: sender, replySerial: serial };
    const type = error === undefined ? messageType.reply : messageType.error;
    const named = error === undefined ? {} : { errorName: error };
    this.#connection.send(new Message({ type, ...address, ...named, ...content }));
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.bus[Symbol.asyncDispose]();
  }
}
