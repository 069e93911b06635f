import { Message } from 'dbus-next/lib/message-type.js';

export { Message };

/** Message types of the D-Bus specification. */
export const messageType = { call: 1, reply: 2, error: 3, signal: 4 } as const;

/** Flags of the D-Bus specification. */
export const messageFlag = { noReplyExpected: 1, noAutoStart: 2, allowInteractive: 4 } as const;

/** The header of a received message (D-Bus specification, Message Format). */
export interface MessageHeader {
  readonly type: number;
  readonly flags: number;
  readonly serial: number;
  readonly path: string | undefined;
  readonly interface: string | undefined;
  readonly member: string | undefined;
  readonly errorName: string | undefined;
  readonly replySerial: number | undefined;
  readonly destination: string | undefined;
  readonly sender: string | undefined;
  readonly signature: string;
  readonly littleEndian: boolean;
  readonly fieldsBytes: number;
  readonly headerBytes: number;
  readonly bodyBytes: number;
}
