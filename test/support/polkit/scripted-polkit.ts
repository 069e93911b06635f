import type { Bus } from '../../../src/dbus/bus.ts';
import { type IncomingMessage } from '../../../src/dbus/wire/inbox.ts';
import { Message, messageType } from '../../../src/dbus/wire/message.ts';

export const polkitName = 'org.freedesktop.PolicyKit1';

/** A call that polkit received. */
export interface PolkitCall {
  readonly member: string | undefined;
  readonly flags: number;
  readonly body: readonly unknown[];
  /** Sends the reply. */
  readonly reply: (signature: string, ...body: readonly unknown[]) => void;
  /** Sends an error. */
  readonly fail: (name: string) => void;
}

/** A peer on a real bus in place of polkit, with replies that the real one sends only when it is old, odd or restarted. */
export class ScriptedPolkit {
  readonly calls: PolkitCall[] = [];
  /** Handles a call; by default it allows the action. */
  onCall: (call: PolkitCall) => void = ({ reply }) => reply('(bba{ss})', [true, false, {}]);
  readonly bus: Bus;

  constructor(bus: Bus) {
    this.bus = bus;
    bus.serveCalls({ maxBodyBytes: () => 64 << 10, receive: (message) => this.#receive(message) });
  }

  /** Takes polkit's name, after another peer has released it. */
  async begin(): Promise<void> {
    await this.bus.requestName(polkitName);
  }

  /** The received calls of CheckAuthorization. */
  get questions(): readonly PolkitCall[] {
    return this.calls.filter(({ member }) => member === 'CheckAuthorization');
  }

  #receive(message: IncomingMessage): void {
    const { member, flags, serial: replySerial, sender: destination } = message.header;
    const reply = { replySerial, destination };
    const call: PolkitCall = {
      member,
      flags,
      body: message.decode(64),
      reply: (signature, ...body) =>
        void this.bus.send(new Message({ type: messageType.reply, ...reply, signature, body })),
      fail: (errorName) =>
        void this.bus.send(new Message({ type: messageType.error, ...reply, errorName })),
    };
    this.calls.push(call);
    if (member === 'CheckAuthorization') this.onCall(call);
  }
}
