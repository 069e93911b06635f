import { ServiceError } from '../../errors.ts';
import type { IncomingMessage } from '../wire/inbox.ts';
import { errorFromWire } from '../wire/wire-errors.ts';

/** Larger error replies are received without their text. */
export const maxErrorBytes = 64 << 10;
/** The limit of replies when the caller sets none. */
export const defaultReplyLimit: ReplyLimit = { bytes: 32 << 20, elements: 1_000_000 };

/** The limit of a reply: the bytes of its body, and the elements of its arrays and dictionaries in all. */
export interface ReplyLimit {
  readonly bytes: number;
  readonly elements: number;
}

/** The reply that a call expects. */
export interface ExpectedReply {
  readonly replySignature: string | undefined;
  readonly replyLimit: ReplyLimit;
}

/** Converts an error reply to an error. */
export function errorOf(message: IncomingMessage): Error {
  const name = message.header.errorName ?? 'org.freedesktop.DBus.Error.Failed';
  return errorFromWire(name, errorText(message));
}

/** An error whose text is unreadable is an error without text. */
function errorText(message: IncomingMessage): string {
  if (!message.header.signature.startsWith('s')) return '';
  try {
    const [text] = message.decode(defaultReplyLimit.elements);
    return typeof text === 'string' ? text : '';
  } catch {
    return '';
  }
}

/** Failed when the reply is not as expected: the peer has another version, or is another program. */
export function decodeReply(
  message: IncomingMessage,
  { replySignature: wanted, replyLimit }: ExpectedReply,
): readonly unknown[] {
  const { signature, bodyBytes } = message.header;
  if (wanted !== undefined && wanted !== signature) {
    throw new ServiceError('Failed', `the reply is (${signature}), not (${wanted})`);
  }
  if (message.isSkipped) {
    const limit = `the limit is ${replyLimit.bytes}`;
    throw new ServiceError('Failed', `the reply has ${bodyBytes} bytes, ${limit}`);
  }
  try {
    return message.decode(replyLimit.elements);
  } catch (cause) {
    throw new ServiceError('Failed', 'the reply is unreadable', { cause });
  }
}
