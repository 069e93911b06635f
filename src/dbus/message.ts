import { Message } from 'dbus-next/lib/message-type.js';

export { Message };

/** Message types of the D-Bus specification. */
export const messageType = { call: 1, reply: 2, error: 3, signal: 4 } as const;

/** Flags of the D-Bus specification. */
export const messageFlag = { noReplyExpected: 1, noAutoStart: 2, allowInteractive: 4 } as const;

/** A message as it came in. Its body is read on first use; `bodyError` says why that was not possible. */
export interface IncomingMessage {
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
  readonly body: readonly unknown[];
  readonly bodyError: Error | undefined;
  /** Size on the wire, for accounting. */
  readonly sizeBytes: number;
}
