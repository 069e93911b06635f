import { ServiceError } from '../../errors.ts';
import type { Bus } from '../bus.ts';
import { type IncomingMessage } from '../wire/inbox.ts';
import { Message, messageType } from '../wire/message.ts';
import { wireNameOf } from '../wire/wire-errors.ts';
import type { StandardReply } from './standard.ts';

const maxErrorText = 4096;

/** Answers a call, unless the caller wants no answer; returns the size of the reply. */
export function reply(bus: Bus, call: IncomingMessage, { signature, body }: StandardReply): number {
  if (!call.wantsReply) return 0;
  const { serial: replySerial, sender: destination } = call.header;
  const type = messageType.reply;
  return bus.send(new Message({ type, replySerial, destination, signature, body }));
}

/** Answers a call with a failure, whatever is not a ServiceError as `internal error`; returns the size of the reply. */
export function replyError(bus: Bus, call: IncomingMessage, error: unknown): number {
  if (!call.wantsReply) return 0;
  const { serial: replySerial, sender: destination } = call.header;
  const ours = error instanceof ServiceError && error.code !== 'Failed';
  const errorName = wireNameOf(ours ? error.code : 'Failed');
  const text = ours ? error.message.replaceAll('\0', ' ') : 'internal error';
  const body = [text.slice(0, maxErrorText)];
  const type = messageType.error;
  return bus.send(new Message({ type, replySerial, destination, errorName, signature: 's', body }));
}
