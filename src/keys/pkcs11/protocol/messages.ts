/** Requests and replies as frames; `operations.ts` describes them. */
import { ByteReader, ByteWriter, MalformedMessage } from './bytes.ts';
import { type Field, text, textOf } from './fields.ts';
import { headerBytes, maxFrameBytes } from './frames.ts';
import type { Operation } from './operations.ts';

/** Why a request failed. */
export type Failure =
  /** A function of PKCS#11 did not return CKR_OK. */
  | { readonly kind: 'ckr'; readonly ckr: string; readonly call: string }
  /** The pool is closed, or its session vanished. */
  | { readonly kind: 'lost' }
  /** Anything else; the message is for people. */
  | { readonly kind: 'other'; readonly message: string };

const outcomes = { ok: 0, failed: 1, alive: 2 } as const;
const failureKinds = { ckr: 0, lost: 1, other: 2 } as const;
const ckrName = textOf(/^CKR_[A-Z0-9_]{1,60}$/);
const callName = textOf(/^C_[A-Za-z]{1,40}$/);
/** The id of messages that reply to nothing. */
const noRequest = 0;
const longestMessage = 500;

const failure: Field<Failure> = {
  write: (writer, value) => {
    writer.u8(failureKinds[value.kind]);
    if (value.kind === 'ckr') {
      ckrName.write(writer, value.ckr);
      callName.write(writer, value.call);
    } else if (value.kind === 'other') text.write(writer, value.message.slice(0, longestMessage));
  },
  read: (reader) => {
    const kind = reader.u8();
    switch (kind) {
      case failureKinds.ckr:
        return { kind: 'ckr', ckr: ckrName.read(reader), call: callName.read(reader) };
      case failureKinds.lost:
        return { kind: 'lost' };
      case failureKinds.other:
        return { kind: 'other', message: text.read(reader).slice(0, longestMessage) };
      default:
        throw new MalformedMessage(`a failure of kind ${kind}`);
    }
  },
};

/** Encodes a request. The caller wipes the frame when it was sent. */
export function encodeRequest<Request>(
  id: number,
  { number, request: field }: Pick<Operation<Request, unknown>, 'number' | 'request'>,
  request: Request,
): Buffer {
  return frame(id, number, (writer) => field.write(writer, request));
}

/** A request: the number of its operation, and the reader of the rest. */
export interface ReceivedRequest {
  readonly id: number;
  readonly operation: number;
  readonly reader: ByteReader;
}

/** Decodes the head of a request. */
export function decodeRequest(bytes: Buffer): ReceivedRequest {
  const reader = new ByteReader(bytes);
  return { id: reader.u32(), operation: reader.u8(), reader };
}

/** Decodes all of the rest of a message. */
export function decodeAll<T>(field: Field<T>, reader: ByteReader): T {
  const value = field.read(reader);
  reader.end();
  return value;
}

export function encodeReply<Reply>(id: number, field: Field<Reply>, reply: Reply): Buffer {
  return frame(id, outcomes.ok, (writer) => field.write(writer, reply));
}

export function encodeFailure(id: number, why: Failure): Buffer {
  return frame(id, outcomes.failed, (writer) => failure.write(writer, why));
}

export function encodeAlive(): Buffer {
  return frame(noRequest, outcomes.alive, () => undefined);
}

/** A reply: of which request, and the failure or the reader of the operation's reply. */
export type ReceivedReply =
  | { readonly kind: 'ok'; readonly id: number; readonly reader: ByteReader }
  | { readonly kind: 'failed'; readonly id: number; readonly failure: Failure }
  | { readonly kind: 'alive' };

/** Decodes a reply up to that of its operation. Throws MalformedMessage. */
export function decodeReply(bytes: Buffer): ReceivedReply {
  const reader = new ByteReader(bytes);
  const id = reader.u32();
  const outcome = reader.u8();
  switch (outcome) {
    case outcomes.ok:
      return { kind: 'ok', id, reader };
    case outcomes.failed:
      return { kind: 'failed', id, failure: decodeAll(failure, reader) };
    case outcomes.alive:
      reader.end();
      return { kind: 'alive' };
    default:
      throw new MalformedMessage(`an outcome of ${outcome}`);
  }
}

function frame(id: number, code: number, write: (writer: ByteWriter) => void): Buffer {
  const writer = new ByteWriter();
  writer.u32(0);
  writer.u32(id);
  writer.u8(code);
  write(writer);
  const bytes = writer.finish();
  const length = bytes.length - headerBytes;
  if (length > maxFrameBytes) {
    bytes.fill(0);
    throw new RangeError(`a message of ${length} bytes`);
  }
  writer.replaceU32(length, 0);
  return bytes;
}
