import { Message, messageType } from '../../src/dbus/message.ts';
import { keysService } from '../../src/interfaces/keys.ts';
import { PrivateBus } from './private-bus.ts';

/** A reply, with a body that need not be that of the method, or an error. */
export interface OddReply {
  readonly error?: string;
  readonly signature?: string;
  readonly body?: readonly unknown[];
}

/** A call as it came. */
export interface OddCall {
  readonly path: string | undefined;
  readonly member: string | undefined;
  readonly signature: string;
  readonly body: readonly unknown[];
}

/** A double of the Keys service that answers each call with what a test says, whether or not the method may. */
export class OddKeys implements AsyncDisposable {
  readonly bus: PrivateBus;
  readonly calls: OddCall[] = [];
  reply: OddReply = {};

  private constructor(bus: PrivateBus) {
    this.bus = bus;
  }

  static async start(): Promise<OddKeys> {
    const keys = new OddKeys(await PrivateBus.start());
    const connection = await keys.bus.connect();
    connection.serveCalls({
      maxBodyBytes: () => 1 << 20,
      receive: (message) => {
        const { path, member, signature, sender, serial } = message.header;
        keys.calls.push({ path, member, signature, body: message.decode(1 << 20) });
        const { error, ...content } = keys.reply;
        const address = { destination: sender, replySerial: serial };
        const type = error === undefined ? messageType.reply : messageType.error;
        const named = error === undefined ? {} : { errorName: error };
        connection.send(new Message({ type, ...address, ...named, ...content }));
      },
    });
    await connection.requestName(keysService.busName);
    return keys;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.bus[Symbol.asyncDispose]();
  }
}
