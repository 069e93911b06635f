import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { isServiceError, ServiceError } from '../../../../src/errors.ts';
import {
  CloudError,
  type CloudRequest,
  type CloudResponse,
} from '../../../../src/identity/cloud/cloud.ts';
import { DpsProvisioner } from '../../../../src/identity/provisioners/dps.ts';
import { via } from '../../../support/via.ts';

const test = suite('registration with DPS');
const assigning = { operationId: 'x', status: 'assigning' };
const registrationState = { assignedHub: 'hub.example', deviceId: 'd' };
const assigned = { operationId: 'x', status: 'assigned', registrationState };
const never = new AbortController().signal;

/** A registration against a cloud that sends these responses, and the waits between its polls. */
function registration(
  responses: readonly Partial<CloudResponse>[],
  {
    deadline = never,
    delay,
    id = 'r',
  }: { deadline?: AbortSignal; delay?: (signal: AbortSignal) => Promise<void>; id?: string } = {},
) {
  const waits: number[] = [];
  const requests: CloudRequest[] = [];
  const left = [...responses];
  const provisioner = new DpsProvisioner({
    endpoint: 'https://dps.example',
    scopeId: 's',
    registrationId: async () => id,
    cloud: {
      send: async (request) => {
        requests.push(request);
        return { status: 200, retryAfterS: undefined, body: assigned, ...left.shift() };
      },
    },
    delay: async (ms, signal) => {
      waits.push(ms);
      await delay?.(signal);
    },
    deadline: () => deadline,
  });
  return {
    waits,
    requests,
    provision: (signal = never) => provisioner.provision({ ...via, signal }),
  };
}

async function errorOf(promise: Promise<unknown>): Promise<ServiceError> {
  const error: unknown = await promise.then(
    () => undefined,
    (reason: unknown) => reason,
  );
  assert.instance(error, ServiceError);
  return error as ServiceError; // only inspected
}

test('polls after the interval of the cloud, but no sooner than a second and no later than a minute', async () => {
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

test('continues polling when the service is busy, for a while', async () => {
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

test('polls the operation id of the most recent response', async () => {
  const responses = ['a/b', 'c', undefined].map((operationId, at) => ({
    status: at === 2 ? 429 : 202,
    retryAfterS: 1,
    body: { ...(operationId !== undefined && { operationId }), status: 'assigning' },
  }));
  const { provision, requests } = registration(responses, { id: 'pump 1/x' });
  assert.is((await provision()).registrationId, 'pump 1/x');
  const base = 'https://dps.example/s/registrations/pump%201%2Fx';
  const version = '?api-version=2021-06-01';
  assert.equal(requests, [
    { method: 'PUT', url: `${base}/register${version}`, body: { registrationId: 'pump 1/x' } },
    { method: 'GET', url: `${base}/operations/a%2Fb${version}` },
    { method: 'GET', url: `${base}/operations/c${version}` },
    { method: 'GET', url: `${base}/operations/c${version}` },
  ]);
});

test('gives up a busy service at the tenth consecutive refusal, and not before', async () => {
  const busy = { status: 503, retryAfterS: 30, body: {} };
  const accepted = { status: 202, body: assigning };
  const rows = (count: number) => Array.from({ length: count }, () => busy);
  const { waits, provision } = registration([accepted, ...rows(9), accepted, ...rows(9)]);
  assert.is((await provision()).deviceId, 'd');
  assert.is(waits.length, 20);
  const error = await errorOf(registration([accepted, ...rows(10)]).provision());
  assert.instance(error, CloudError);
  const { status, retryAfterMs } = error as CloudError;
  assert.equal([status, retryAfterMs], [503, 30_000]);
});

test('continues polling while the state is "assigning", and in no other state', async () => {
  const { waits, provision } = registration([
    { status: 202, body: { ...assigning, status: 'unassigned' } },
    { status: 200, body: { ...assigning, status: 'Assigning' } },
    { status: 200, body: { ...assigned, status: 'ASSIGNED' } },
  ]);
  assert.is((await provision()).hubHostname, 'hub.example');
  assert.is(waits.length, 2);
  const disabled = { body: { status: 'disabled', registrationState: {} } };
  assert.match(
    (await errorOf(registration([disabled]).provision())).message,
    /the enrollment is disabled: enable it in the service$/,
  );
  for (const status of ['failed', 'blacklisted', '']) {
    const error = await errorOf(registration([{ body: { ...assigned, status } }]).provision());
    assert.match(error.message, `the service returned status "${status}"`);
  }
});

test('is refused with the error of the service and its Retry-After', async () => {
  for (const status of [201, 204, 301, 400, 401, 403, 404, 409, 412, 429, 500, 503]) {
    const response = { status, retryAfterS: 9, body: {} };
    const error = await errorOf(registration([response]).provision());
    assert.instance(error, CloudError);
    assert.match(error.message, `registering r with dps.example: HTTP ${status}`);
    assert.equal(
      [(error as CloudError).status, (error as CloudError).retryAfterMs],
      [status, 9000],
    );
    const late = await errorOf(
      registration([{ status: 202, body: assigning }, response])
        .provision()
        .then(() => {
          throw new ServiceError('NotFound', 'assigned');
        }),
    );
    assert.is(
      late.code,
      status === 429 || status === 503 ? 'NotFound' : 'Unavailable',
      String(status),
    );
  }
});

test('accepts hubs with a port, and names of every valid length', async () => {
  for (const assignedHub of ['h', 'a.b-c.example', 'hub.example:1', 'hub.example:44300']) {
    const registrationState = { assignedHub, deviceId: 'x'.repeat(256) };
    const { provision } = registration([{ body: { ...assigned, registrationState } }]);
    assert.is((await provision()).hubHostname, assignedHub);
  }
  for (const assignedHub of [
    '',
    '-a',
    'a-',
    'a.',
    '.a',
    'a:',
    'a:123456',
    'a:b',
    'a/b',
    'a?b',
    'a b',
    'a@b',
    'ä',
  ]) {
    const registrationState = { assignedHub, deviceId: 'd' };
    const { provision } = registration([{ body: { ...assigned, registrationState } }]);
    assert.match(
      (await errorOf(provision())).message,
      'the response has no hub or device',
      assignedHub,
    );
  }
});

test('is Unavailable when it times out, so that it is retried', async () => {
  const deadline = new AbortController();
  const delay = async (signal: AbortSignal) => {
    deadline.abort();
    signal.throwIfAborted();
  };
  const options = { deadline: deadline.signal, delay };
  const { provision } = registration([{ status: 202, body: assigning }], options);
  const error = await errorOf(provision());
  assert.ok(isServiceError(error, 'Unavailable'));
  assert.match(error.message, 'registering r with dps.example: it was not decided in time');
});

test('rejects with the reason of the caller when that coincides with the timeout', async () => {
  const deadline = new AbortController();
  const cancel = new AbortController();
  const cancelled = new ServiceError('Cancelled', 'cancelled');
  const delay = async (signal: AbortSignal) => {
    cancel.abort(cancelled);
    deadline.abort();
    signal.throwIfAborted();
  };
  const options = { deadline: deadline.signal, delay };
  const { provision } = registration([{ status: 202, body: assigning }], options);
  assert.is(await errorOf(provision(cancel.signal)), cancelled);
});

test('rejects with the reason of the caller when it is cancelled', async () => {
  const cancel = new AbortController();
  const cancelled = new ServiceError('Cancelled', 'cancelled');
  const delay = () => {
    cancel.abort(cancelled);
    return Promise.reject(cancelled);
  };
  const { provision } = registration([{ status: 202, body: assigning }], { delay });
  assert.is(await errorOf(provision(cancel.signal)), cancelled);
});

test('reports a failed registration with the message of the service', async () => {
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
    assert.match(error.message, `the service returned status "failed": ${reason}; error 401002`);
  }
  const silent = await errorOf(registration([failed({})]).provision());
  assert.match(silent.message, '"failed": it gave no reason');
});

test('refuses an invalid name of a hub, device or operation', async () => {
  const state = (more: object) => ({
    body: { ...assigned, registrationState: { ...registrationState, ...more } },
  });
  for (const response of [
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
    const error = await errorOf(registration([response]).provision());
    assert.is(error.code, 'Unavailable');
    assert.not.match(error.message, /\p{C}/u);
  }
});

test.run();
