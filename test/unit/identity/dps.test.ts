import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { isServiceError, ServiceError } from '../../../src/errors.ts';
import type { CloudAnswer } from '../../../src/identity/cloud.ts';
import { DpsProvisioner } from '../../../src/identity/provisioners/dps.ts';
import { via } from '../../support/via.ts';

const test = suite('registration with DPS');
const assigning = { operationId: 'x', status: 'assigning' };
const registrationState = { assignedHub: 'hub.example', deviceId: 'd' };
const assigned = { operationId: 'x', status: 'assigned', registrationState };
const never = new AbortController().signal;

/** A registration that the cloud answers so, and how long it waited between its questions. */
function registration(
  answers: readonly Partial<CloudAnswer>[],
  { deadline = never, delay }: { deadline?: AbortSignal; delay?: () => Promise<void> } = {},
) {
  const waits: number[] = [];
  const left = [...answers];
  const provisioner = new DpsProvisioner({
    globalEndpoint: 'https://dps.example',
    scopeId: 's',
    registrationId: async () => 'r',
    cloud: {
      send: async () => ({ status: 200, retryAfterS: undefined, body: assigned, ...left.shift() }),
    },
    delay: async (ms) => {
      waits.push(ms);
      await delay?.();
    },
    deadline: () => deadline,
  });
  return { waits, provision: (signal = never) => provisioner.provision({ ...via, signal }) };
}

async function errorOf(promise: Promise<unknown>): Promise<ServiceError> {
  const error: unknown = await promise.then(
    () => undefined,
    (reason: unknown) => reason,
  );
  if (error instanceof ServiceError) return error;
  throw error;
}

test('asks again after what the cloud says, but no sooner than a second and no later than a minute', async () => {
  const polls = [undefined, 0, 7, 86_400].map((retryAfterS) => ({
    status: 202,
    retryAfterS,
    body: assigning,
  }));
  const { waits, provision } = registration(polls);
  assert.equal(await provision(), {
    hubHostname: 'hub.example',
    deviceId: 'd',
    registrationId: 'r',
  });
  assert.equal(waits, [2000, 1000, 7000, 60_000]);
});

test('goes on when the service is too busy to be polled, for a while', async () => {
  const busy = { status: 429, retryAfterS: 5, body: { errorCode: 429001 } };
  const accepted = { status: 202, body: assigning };
  const { waits, provision } = registration([accepted, busy, { ...busy, status: 503 }]);
  assert.equal(await provision(), {
    hubHostname: 'hub.example',
    deviceId: 'd',
    registrationId: 'r',
  });
  assert.equal(waits, [2000, 5000, 5000]);
  const always = Array.from({ length: 100 }, () => busy);
  const error = await errorOf(registration([accepted, ...always]).provision());
  assert.match(error.message, 'HTTP 429');
  assert.match((await errorOf(registration([busy]).provision())).message, 'HTTP 429');
});

test('is Unavailable when it is not decided in time, so that it is tried again', async () => {
  const deadline = new AbortController();
  const delay = () => {
    deadline.abort();
    return Promise.reject(new DOMException('The operation was aborted', 'AbortError'));
  };
  const options = { deadline: deadline.signal, delay };
  const { provision } = registration([{ status: 202, body: assigning }], options);
  const error = await errorOf(provision());
  assert.ok(isServiceError(error, 'Unavailable'));
  assert.match(error.message, 'registering r with dps.example: it was not decided in time');
});

test('is what the caller says when it is cancelled', async () => {
  const cancel = new AbortController();
  const cancelled = new ServiceError('Cancelled', 'cancelled');
  const delay = () => {
    cancel.abort(cancelled);
    return Promise.reject(cancelled);
  };
  const { provision } = registration([{ status: 202, body: assigning }], { delay });
  assert.is(await errorOf(provision(cancel.signal)), cancelled);
});

test('says why a registration failed in the words of the service', async () => {
  const failed = (registrationState: object) => ({
    body: { operationId: 'x', status: 'failed', registrationState },
  });
  const reason = 'CA certificate not found.';
  for (const state of [
    { errorCode: 401002, errorMessage: reason },
    { ErrorCode: '401002', ErrorMessage: JSON.stringify({ message: reason }) },
    { error: { code: 401002, message: reason } },
  ]) {
    const error = await errorOf(registration([failed(state)]).provision());
    assert.match(error.message, `the service answered "failed": ${reason}; error 401002`);
  }
  const silent = await errorOf(registration([failed({})]).provision());
  assert.match(silent.message, '"failed": it gave no reason');
});

test('takes no hub, device or operation that is no name', async () => {
  const state = (more: object) => ({
    body: { ...assigned, registrationState: { ...registrationState, ...more } },
  });
  for (const answer of [
    state({ assignedHub: 'hub/x' }),
    state({ assignedHub: 'a\0b' }),
    state({ assignedHub: 'user@hub' }),
    state({ deviceId: 'a\nb' }),
    state({ deviceId: 'x'.repeat(257) }),
    state({ deviceId: '' }),
    { status: 202, body: { ...assigning, operationId: 'a b' } },
    { status: 200, body: undefined },
    { status: 200, body: [] },
  ]) {
    const error = await errorOf(registration([answer]).provision());
    assert.is(error.code, 'Unavailable');
    assert.not.match(error.message, /\p{C}/u);
  }
});

test.run();
