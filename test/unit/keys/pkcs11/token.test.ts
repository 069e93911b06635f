import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { Pkcs11Module } from '../../../../src/keys/pkcs11/module.ts';
import { PinGuard } from '../../../../src/keys/pkcs11/pin-guard.ts';
import { Token } from '../../../../src/keys/pkcs11/token.ts';
import { SoftToken, softhsmPath, userPin } from '../soft-token.ts';

const test = suite('Token');

test('lets no call into a library that is about to start again', async () => {
  await using soft = await SoftToken.create();
  await using module = new Pkcs11Module(softhsmPath);
  const guard = await PinGuard.open(soft.directory);
  const pin = { kind: 'value', value: userPin } as const;
  await using token = new Token({ module, selector: { slotId: 0 }, pin }, guard);
  const signal = AbortSignal.timeout(20_000);
  await module.ready();
  let inside = 0;
  const finalized: number[] = [];
  const finalize = module.api.C_Finalize.bind(module.api);
  module.api.C_Finalize = () => {
    finalized.push(inside);
    finalize();
  };
  let open = () => {};
  const gate = new Promise<void>((resolve) => {
    open = resolve;
  });
  const call = () =>
    token.use(
      () => 'cannot wait',
      async () => {
        inside++;
        await gate;
        inside--;
      },
      signal,
    );

  // More calls than sessions: as the first ones leave, the next ones are handed theirs.
  const calls = Array.from({ length: 12 }, call);
  while (inside === 0) await new Promise((resolve) => setImmediate(resolve));
  const restart = module.restart(0);
  open();
  await Promise.all([restart, ...calls]);
  assert.equal(finalized, [0]);
});

test.run();
