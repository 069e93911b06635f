import * as assert from 'uvu/assert';
import { serve } from '../../../../../src/keys/pkcs11/host/dispatch.ts';
import { CkrError, LostError } from '../../../../../src/keys/pkcs11/host/failures.ts';
import { ByteReader, MalformedMessage } from '../../../../../src/keys/pkcs11/protocol/bytes.ts';
import {
  decodeAll,
  decodeReply,
  decodeRequest,
  encodeRequest,
  type ReceivedReply,
} from '../../../../../src/keys/pkcs11/protocol/messages.ts';
import { operations } from '../../../../../src/keys/pkcs11/protocol/operations.ts';
import { suite } from '../../../../support/timed-suite.ts';

const test = suite('a request to the process of a library');
const isWiped = (bytes: Buffer) => bytes.every((byte) => byte === 0);
const requested = { pool: 1, template: [{ type: 17, value: Buffer.from('material') }] };

/** Makes a request for which a handler returns, rejects or throws. */
async function request(handle: () => void | Promise<void>) {
  const seen: Buffer[] = [];
  const served = serve(operations.create, ({ template }) => {
    for (const { value } of template) if (Buffer.isBuffer(value)) seen.push(value);
    assert.equal(seen, [Buffer.from('material')]);
    return handle();
  });
  const { reader } = decodeRequest(encodeRequest(5, operations.create, requested).subarray(4));
  const received: ReceivedReply = decodeReply((await served.reply(5, reader)).subarray(4));
  return { received, seen };
}

test('is wiped when it was handled, at once or later, with success or not', async () => {
  const fail = () => {
    throw new Error('refused');
  };
  const handlers = [() => undefined, async () => undefined, fail, async () => fail()];
  for (const handle of handlers) {
    const { seen } = await request(handle);
    assert.is(seen.length, 1);
    assert.ok(seen.every(isWiped));
  }
});

test('has a reply that is wiped when it was encoded', async () => {
  for (const isLater of [false, true]) {
    const plaintext = Buffer.from('plaintext');
    const served = serve(operations.decrypt, () =>
      isLater ? Promise.resolve(plaintext) : plaintext,
    );
    const use = {
      pool: 1,
      key: Buffer.alloc(8),
      mechanism: { mechanism: 1 },
      data: Buffer.alloc(1),
      pin: undefined,
    };
    const { reader } = decodeRequest(encodeRequest(5, operations.decrypt, use).subarray(4));
    const received = decodeReply((await served.reply(5, reader)).subarray(4));
    assert.is(received.kind, 'ok');
    if (received.kind !== 'ok') return;
    const reply = decodeAll(operations.decrypt.reply, received.reader);
    assert.is(reply.toString(), 'plaintext');
    assert.ok(isWiped(plaintext));
  }
});

test('fails with the function that failed, with a loss, or with a message', async () => {
  const throwing = (error: Error) => () => {
    throw error;
  };
  const ckr = await request(throwing(new CkrError('CKR_DEVICE_ERROR', 'C_CreateObject')));
  const failure = { kind: 'ckr', ckr: 'CKR_DEVICE_ERROR', call: 'C_CreateObject' };
  assert.equal(ckr.received, { kind: 'failed', id: 5, failure });
  const lost = await request(throwing(new LostError()));
  assert.equal(lost.received, { kind: 'failed', id: 5, failure: { kind: 'lost' } });
  const other = await request(throwing(new TypeError('Argument 1 is required')));
  assert.equal(other.received, {
    kind: 'failed',
    id: 5,
    failure: { kind: 'other', message: 'Argument 1 is required' },
  });
});

test('that is malformed is not handled', () => {
  let isHandled = false;
  const served = serve(operations.close, () => void (isHandled = true));
  for (const bytes of [Buffer.alloc(3), Buffer.alloc(5)]) {
    assert.throws(
      () => served.reply(1, new ByteReader(bytes)),
      (error: unknown) => error instanceof MalformedMessage,
    );
  }
  assert.not(isHandled);
});

test.run();
