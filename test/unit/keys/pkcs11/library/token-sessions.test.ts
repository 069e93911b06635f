import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { LostError } from '../../../../../src/keys/pkcs11/library/ckr.ts';
import type { Pkcs11Library } from '../../../../../src/keys/pkcs11/library/library.ts';
import { TokenSessions } from '../../../../../src/keys/pkcs11/library/token-sessions.ts';
import { type Operation, operations } from '../../../../../src/keys/pkcs11/protocol/operations.ts';

const test = suite('sessions with a token');

/** A library that numbers its pools from 1 again in each process, and records its calls. */
function libraryOf() {
  const calls: string[] = [];
  const state = { generation: 1 };
  const call = async ({ call: name, number }: Operation<unknown, unknown>): Promise<unknown> => {
    calls.push(name);
    return number === operations.open.number ? 1 : undefined;
  };
  const library = {
    call,
    get generation() {
      return state.generation;
    },
  };
  return { calls, state, library: library as unknown as Pkcs11Library }; // the only members in use
}

const options = { slot: Buffer.alloc(8), isWritable: true, limit: 1 };
const pin = Buffer.from('1234');

test('end with the process of their library, whose successor has others under the same number', async () => {
  const { calls, state, library } = libraryOf();
  const sessions = await TokenSessions.open(library, options);
  await sessions.login(pin);
  state.generation++;
  const failure: unknown = await sessions.login(pin).catch((error: unknown) => error);
  assert.instance(failure, LostError);
  sessions.close();
  assert.equal(calls, ['C_OpenSession', 'C_Login'], 'nothing reaches the other process');
});

test('are lost when they are closed, which the library is told once', async () => {
  const { calls, library } = libraryOf();
  const sessions = await TokenSessions.open(library, options);
  sessions.close();
  sessions.close();
  assert.instance(await sessions.isUser().catch((error: unknown) => error), LostError);
  assert.equal(calls, ['C_OpenSession', 'C_CloseSession']);
});

test.run();
