import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { certificateView } from '../../../../src/cli/certificates/certificate-view.ts';
import {
  carryOut,
  type OperationCertificates,
} from '../../../../src/cli/certificates/operation.ts';
import { exitCodes } from '../../../../src/cli/command.ts';
import { describeError, ServiceError } from '../../../../src/errors.ts';

const test = suite('an operation on a certificate');

type State = Readonly<Record<string, unknown>> | undefined | ServiceError;

/** A service in which a certificate is found in these states one after the other, each announced by a signal. */
function servicesIn(states: readonly State[]): OperationCertificates {
  const rest = [...states];
  let announce = (): void => undefined;
  return {
    bus: {
      subscribe(_match, listener) {
        announce = () =>
          listener({
            sender: ':1.1',
            path: '/org/iotedge/Certificates1/certificate/app',
            interface: 'org.freedesktop.DBus.Properties',
            member: 'PropertiesChanged',
            signature: '',
            body: [],
          });
        return Promise.resolve({ [Symbol.asyncDispose]: () => Promise.resolve() });
      },
    },
    call: () => Promise.resolve(undefined as never),
    find() {
      const found = rest.length > 1 ? rest.shift() : rest[0];
      setImmediate(announce);
      if (found instanceof ServiceError) return Promise.reject(found);
      return Promise.resolve(found && certificateView('app', found));
    },
  };
}

/** What a command prints, and its exit code or its failure. */
async function outcome(
  verb: 'Enroll' | 'Renew',
  states: readonly State[],
  options: Readonly<Record<string, boolean>> = {},
) {
  const printed: string[] = [];
  const context = {
    bus: () => Promise.reject(new TypeError('not used')),
    positionals: [],
    options: { 'no-ask-password': true, ...options },
    print: (text: string) => void printed.push(text),
    note: (text: string) => void printed.push(text),
  };
  const operation = { verb, id: 'app', begin: () => Promise.resolve() };
  const code = await carryOut(servicesIn(states), context, operation).catch(
    (error: unknown) =>
      `${error instanceof ServiceError ? error.code : ''}: ${describeError(error)}`,
  );
  return { code, printed };
}

const notAfter = String((Date.now() + 864_060_000) * 1000);
const old = { State: 'valid', Fingerprint: '01', Issuer: 'CN=ca', NotAfter: notAfter };
const renewed = { ...old, Fingerprint: '02' };
const soon = String((Date.now() + 300_000) * 1000);
const failed = { ...old, State: 'renewing', LastError: 'no route', NextAttempt: soon };

test('ends when the new certificate is there', async () => {
  const during = { ...old, State: 'renewing', Operation: 'Renew' };
  const { code, printed } = await outcome('Renew', [old, during, renewed]);
  assert.equal([code, printed.at(-1)], [exitCodes.ok, 'app: issued by CN=ca, expires in 10 days']);
  assert.ok(printed.includes('app: waiting for the issuer'));
});

test('goes on while the service restarts', async () => {
  const away = new ServiceError('Unavailable', 'it restarts');
  assert.is((await outcome('Renew', [old, away, away, renewed])).code, exitCodes.ok);
});

test('fails with the reason and the next attempt of the service', async () => {
  const { code } = await outcome('Renew', [old, failed]);
  assert.match(
    String(code),
    /^Unavailable: the certificate "app" was not renewed: no route; the service tries again by itself, in 4 minutes$/,
  );
  const stuck = { State: 'stuck', LastError: 'HTTP 403' };
  const refused = await outcome('Enroll', [undefined, stuck]);
  assert.match(String(refused.code), /^Failed: .* was not issued: HTTP 403; once the cause is/);
  const early = await outcome('Enroll', [undefined, { State: 'pending', LastError: 'the clock' }]);
  assert.match(String(early.code), /^Unavailable: .* was not issued: the clock$/);
  const cancelled = await outcome('Enroll', [undefined, undefined]);
  assert.match(String(cancelled.code), /^Cancelled: .* was not issued: it was cancelled$/);
  assert.match(String((await outcome('Renew', [old, old])).code), /^Failed: .* not renewed/);
});

test('waits for further attempts where that is wanted', async () => {
  const { code, printed } = await outcome('Renew', [old, failed, failed, renewed], {
    'until-issued': true,
  });
  assert.is(code, exitCodes.ok);
  assert.ok(
    printed.includes('app: no route; the next attempt is in 4 minutes'),
    printed.join('\n'),
  );
});

test('is left to the service by an interrupt', async () => {
  setImmediate(() => process.emit('SIGINT'));
  const { code, printed } = await outcome('Renew', [old, { ...old, Operation: 'Renew' }]);
  assert.is(code, exitCodes.interrupted);
  assert.match(printed.at(-1) ?? '', /^app: Renew goes on .*'iotedgectl certificates cancel app'/);
});

test.run();
