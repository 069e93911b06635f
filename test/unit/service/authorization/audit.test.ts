import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import type { CallContext } from '../../../../src/dbus/server/call.ts';
import { ServiceError } from '../../../../src/errors.ts';
import { Audit, undeclaredMessage } from '../../../../src/service/authorization/audit.ts';
import type { Log } from '../../../../src/service/log/log.ts';
import type { Fields } from '../../../../src/service/log/log-record.ts';
import { toLine } from '../../../../src/service/log/log-record.ts';
import { recordingLog } from '../../../support/log.ts';

const test = suite('audit');

type Line = readonly [string, string, Fields];

function rig(repeatMs = 10_000): { audit: Audit; lines: Line[]; log: Log } {
  const lines: Line[] = [];
  const log = recordingLog(({ level, message, fields }) => lines.push([level, message, fields]));
  return { audit: new Audit({ log, repeatMs }), lines, log };
}

function call(uid: number): CallContext {
  return {
    caller: { sender: ':1.7', uid, gids: [], pid: undefined },
    member: 'Sign',
    requestId: 'request',
    interactive: false,
    signal: new AbortController().signal,
    cancellation: new AbortController().signal,
    startedAt: performance.now(),
  };
}

const sign = (key_id: string) => ({
  action: 'org.iotedge.keys1.sign',
  details: { key_id, mechanism: 'ed25519', derivation: '' },
});

test('logs the first decision at once and repeats as a count', () => {
  const { audit, lines } = rig();
  for (let count = 0; count < 5; count++) audit.onDecision(call(1000), sign('a'), undefined);
  assert.is(lines.length, 1);
  const [level, message, fields] = lines[0] ?? [];
  assert.equal([level, message], ['info', 'authorization decision']);
  assert.is(fields?.['uid'], 1000);
  assert.is(fields?.['action'], 'org.iotedge.keys1.sign');
  assert.is(fields?.['id'], 'a');
  assert.is(fields?.['verdict'], 'allowed');
  assert.equal(fields?.['details'], ['mechanism:ed25519']);
  assert.is(fields?.['requestId'], 'request');
  audit[Symbol.dispose]();
  assert.is(lines.length, 2);
  assert.is(lines[1]?.[2]['repeats'], 4);
});

test('distinguishes uids, ids and verdicts', () => {
  const { audit, lines } = rig();
  const denied = new ServiceError('AccessDenied', 'no');
  audit.onDecision(call(1000), sign('a'), undefined);
  audit.onDecision(call(1001), sign('a'), undefined);
  audit.onDecision(call(1000), sign('b'), undefined);
  audit.onDecision(call(1000), sign('a'), denied);
  assert.is(lines.length, 4);
  audit[Symbol.dispose]();
});

test('logs a decision at once again when it was not repeated for a while', async () => {
  const { audit, lines } = rig(20);
  audit.onDecision(call(1000), sign('a'), undefined);
  await new Promise((resolve) => setTimeout(resolve, 60));
  audit.onDecision(call(1000), sign('a'), undefined);
  assert.is(lines.length, 2);
  assert.is(lines[1]?.[2]['repeats'], undefined);
  audit[Symbol.dispose]();
});

test('logs no secret from a detail of a decision', () => {
  const { audit, lines } = rig();
  for (const [at, secret] of ['?9876', ';9876', '; 9876'].entries()) {
    const algorithm = `pkcs11:slot-id=0;object=device id${secret}`;
    const request = { action: 'create', details: { key_id: `k${at}`, algorithm, usages: 'sign' } };
    audit.onDecision(call(1000), request, undefined);
    const line = toLine({
      priority: 'info',
      message: 'authorization decision',
      fields: lines[at]?.[2] ?? {},
    });
    assert.not.match(line, /9876/);
    assert.match(line, 'algorithm:pkcs11:slot-id=0;object=device id');
    assert.match(line, 'usages:sign');
  }
  audit[Symbol.dispose]();
});

test('logs errors of the caller as info, its own failures as error, and a refusal only once', () => {
  const { audit, lines } = rig();
  audit.onFailure(call(1000), 'org.iotedge.Keys1.Sign', new ServiceError('NotFound', 'no key "a"'));
  const refusal = new ServiceError('AccessDenied', 'no');
  audit.onDecision(call(1000), sign('a'), refusal);
  audit.onFailure(call(1000), 'org.iotedge.Keys1.Sign', refusal);
  // a refusal by another service is not a decision of this one
  audit.onFailure(call(1000), 'org.iotedge.Keys1.Sign', new ServiceError('AccessDenied', 'theirs'));
  const cause = new Error('EIO');
  audit.onFailure(call(1000), 'org.iotedge.Keys1.Sign', new TypeError('broken', { cause }));
  audit.onFailure(
    undefined,
    'org.iotedge.Keys1.Nonsense',
    new ServiceError('UnknownMethod', 'none'),
  );
  assert.equal(
    lines.map(([level, , fields]) => [level, fields['code']]),
    [
      ['info', 'NotFound'],
      ['info', undefined],
      ['info', 'AccessDenied'],
      ['error', 'Failed'],
      ['info', 'UnknownMethod'],
    ],
  );
  assert.is(lines[3]?.[2]['reason'], 'broken: EIO');
  audit[Symbol.dispose]();
});

test('truncates a long reason', () => {
  const { audit, lines } = rig();
  const quoted = new ServiceError('InvalidArgs', `no option ${'x'.repeat(4 << 20)}`);
  audit.onFailure(call(1000), 'org.iotedge.Keys1.Sign', quoted);
  assert.is(String(lines[0]?.[2]['reason']).length, 1024);
  audit[Symbol.dispose]();
});

test('is not flooded by one caller with many ids, and still logs the others', () => {
  const { audit, lines } = rig();
  for (let count = 0; count < 10_000; count++)
    audit.onDecision(call(1000), sign(`k${count}`), undefined);
  const flood = lines.length;
  assert.ok(flood <= 32, `${flood} lines`);
  audit.onDecision(call(1001), sign('a'), undefined);
  assert.is(lines.length, flood + 1);
  // each kind is counted only when it was repeated, and those that share one entry always
  for (let count = 0; count < 10_000; count++)
    audit.onDecision(call(1000), sign(`k${count}`), undefined);
  assert.is(lines.length, flood + 1);
  audit[Symbol.dispose]();
  const counts = lines.slice(flood + 1);
  assert.ok(counts.length <= 33, `${counts.length} counts`);
  const repeats = counts.reduce((sum, [, , fields]) => sum + Number(fields['repeats']), 0);
  assert.is(flood + repeats, 20_000);
  assert.ok(counts.some(([, , fields]) => fields['others'] === true));
});

test('does not mix up reasons, and limits the number that one caller can cause', () => {
  const { audit, lines } = rig();
  const fail = (reason: string) =>
    audit.onFailure(call(1000), 'org.iotedge.Keys1.Sign', new ServiceError('Unavailable', reason));
  for (let count = 0; count < 20; count++) fail(`token ${count % 10} was removed`);
  const reasons = new Set(lines.map(([, , fields]) => fields['reason']));
  assert.is(lines.length, 10);
  assert.is(reasons.size, 10);
  for (let count = 0; count < 10_000; count++) fail(`made up ${count}`);
  assert.is(lines.length, 32);
  audit[Symbol.dispose]();
  const counts = lines.slice(32).map(([, , fields]) => Number(fields['repeats']));
  assert.is(
    counts.reduce((sum, count) => sum + count, 32),
    10_020,
  );
});

test('counts the lost calls of disconnected callers', () => {
  const { audit, lines } = rig();
  for (let count = 0; count < 3; count++)
    audit.onLostCall('org.iotedge.Keys1.Sign', call(1000).caller);
  audit.onLostCall('org.iotedge.Keys1.Sign', undefined);
  assert.equal(
    lines.map(([level, message, { uid }]) => [level, message, uid]),
    [
      ['warn', 'call lost', 1000],
      ['warn', 'call lost', undefined],
    ],
  );
  audit[Symbol.dispose]();
  assert.is(lines[2]?.[2]['repeats'], 2);
});

test('logs why a decision failed, as a warning when the backend is broken', () => {
  const { audit, lines } = rig();
  const cause = new Error('ECONNREFUSED');
  audit.onDecision(call(1), sign('a'), new ServiceError('AccessDenied', 'no'));
  audit.onDecision(
    call(1),
    sign('b'),
    new ServiceError('AccessDenied', 'polkit is away', { cause }),
  );
  audit.onDecision(call(1), sign('c'), new ServiceError('Cancelled', 'it left', { cause }));
  audit.onDecision(call(1), sign('d'), undefined);
  assert.equal(
    lines.map(([level, , { verdict, reason }]) => [level, verdict, reason]),
    [
      ['info', 'denied', 'no'],
      ['warn', 'denied', 'polkit is away: ECONNREFUSED'],
      ['info', 'abandoned', 'it left: ECONNREFUSED'],
      ['info', 'allowed', undefined],
    ],
  );
  audit[Symbol.dispose]();
});

test('distinguishes actions, and names the id of each', () => {
  const { audit, lines } = rig();
  const decide = (action: string, details: Readonly<Record<string, string>>) =>
    audit.onDecision(call(1), { action, details }, undefined);
  decide('keys.sign', { key_id: 'one', derivation: 'd' });
  decide('keys.export', { key_id: 'one' });
  decide('certificates.issue', { certificate_id: 'one', issuer: 'ca' });
  decide('identity.sign', { module_id: 'one', audience: '' });
  decide('modules.run', { module: 'one', type: 'docker' });
  decide('odd', { key_id: '', module: 'one' });
  decide('none', { key_id: '' });
  assert.equal(
    lines.map(([, , { action, id, details }]) => [action, id, details]),
    [
      ['keys.sign', 'one', ['derivation:d']],
      ['keys.export', 'one', undefined],
      ['certificates.issue', 'one', ['issuer:ca']],
      ['identity.sign', 'one', undefined],
      ['modules.run', 'one', ['type:docker']],
      ['odd', 'one', undefined],
      ['none', '', undefined],
    ],
  );
  audit[Symbol.dispose]();
});

test('logs the caller, the method and the duration of a failure, and a stack only for defects', () => {
  const { audit, lines } = rig();
  const long = { ...call(1000), startedAt: performance.now() - 1e6 };
  const fail = (error: Error, on = long, message = 'org.iotedge.Keys1.Sign') =>
    audit.onFailure(on, message, error);
  fail(new ServiceError('NotFound', 'no key "a"'));
  fail(new TypeError('a defect'));
  fail(new TypeError('a defect'), call(1001));
  fail(new TypeError('a defect'), long, 'org.iotedge.Keys1.Verify');
  const [first, second] = lines.map(([, , fields]) => fields);
  const { durationMs, ...rest } = first ?? {};
  assert.ok(Number(durationMs) >= 1e6 && Number(durationMs) < 2e6, String(durationMs));
  assert.equal(rest, {
    uid: 1000,
    pid: undefined,
    unit: undefined,
    member: 'Sign',
    requestId: 'request',
    call: 'org.iotedge.Keys1.Sign',
    code: 'NotFound',
    reason: 'no key "a"',
    stack: undefined,
  });
  assert.match(String(second?.['stack']), /^TypeError: a defect\n/);
  assert.equal(
    lines.slice(1).map(([, , { uid, call: message }]) => [uid, message]),
    [
      [1000, 'org.iotedge.Keys1.Sign'],
      [1001, 'org.iotedge.Keys1.Sign'],
      [1000, 'org.iotedge.Keys1.Verify'],
    ],
  );
  audit[Symbol.dispose]();
});

test('logs the caller of a lost call, and the undeclared error of a method', () => {
  const { audit, lines } = rig();
  audit.onLostCall('org.iotedge.Keys1.Sign', { ...call(1000).caller, pid: 77 });
  audit.onUndeclared(call(1001), new ServiceError('NotProvisioned', 'odd'));
  audit.onUndeclared(call(1001), new ServiceError('NotProvisioned', 'odd'));
  audit.onUndeclared(call(1001), new ServiceError('NotFound', 'odd'));
  const [lost, undeclared, other] = lines;
  assert.equal(lost, [
    'warn',
    'call lost',
    {
      uid: 1000,
      pid: 77,
      call: 'org.iotedge.Keys1.Sign',
      reason: 'its caller wanted no reply and left before its turn',
    },
  ]);
  assert.equal([undeclared?.[0], undeclared?.[1]], ['error', undeclaredMessage]);
  const { uid, member, code, reason } = undeclared?.[2] ?? {};
  assert.equal([uid, member, code, reason], [1001, 'Sign', 'NotProvisioned', 'odd']);
  assert.is(other?.[2]['code'], 'NotFound');
  assert.is(lines.length, 3);
  audit[Symbol.dispose]();
});

test('logs every call at the debug level, and none otherwise', () => {
  const { lines, log } = rig();
  for (const writesDebug of [undefined, false, true]) {
    const audit = new Audit({ log: { ...log, ...(writesDebug !== undefined && { writesDebug }) } });
    audit.onCall(call(1000));
    audit[Symbol.dispose]();
  }
  assert.equal(
    lines.map(([level, message, { member, requestId }]) => [level, message, member, requestId]),
    [['debug', 'call received', 'Sign', 'request']],
  );
});

test.run();
