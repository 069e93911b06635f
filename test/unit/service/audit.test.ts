import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import type { CallContext } from '../../../src/dbus/serve.ts';
import { ServiceError } from '../../../src/errors.ts';
import { Audit } from '../../../src/service/audit.ts';
import type { Fields, Log } from '../../../src/service/log.ts';
import { toLine } from '../../../src/service/log-record.ts';

const test = suite('audit');

type Line = readonly [string, string, Fields];

function rig(repeatMs = 10_000): { audit: Audit; lines: Line[] } {
  const lines: Line[] = [];
  const write =
    (level: string) =>
    (message: string, fields: Fields = {}) => {
      lines.push([level, message, fields]);
    };
  const log: Log = {
    error: write('error'),
    warn: write('warn'),
    info: write('info'),
    debug: write('debug'),
  };
  return { audit: new Audit({ log, repeatMs }), lines };
}

function call(uid: number): CallContext {
  return {
    caller: { sender: ':1.7', uid, gids: [], pid: undefined },
    member: 'Sign',
    requestId: 'request',
    interactive: false,
    signal: new AbortController().signal,
    startedAt: performance.now(),
  };
}

const sign = (key_id: string) => ({
  action: 'org.iotedge.keys1.sign',
  details: { key_id, mechanism: 'ed25519', derivation: '' },
});

test('writes the first decision at once and repeats as a count', () => {
  const { audit, lines } = rig();
  for (let count = 0; count < 5; count++) audit.decided(call(1000), sign('a'), undefined);
  assert.is(lines.length, 1);
  const [level, message, fields] = lines[0] ?? [];
  assert.equal([level, message], ['info', 'decided']);
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

test('tells uids, ids and verdicts apart', () => {
  const { audit, lines } = rig();
  const denied = new ServiceError('AccessDenied', 'no');
  audit.decided(call(1000), sign('a'), undefined);
  audit.decided(call(1001), sign('a'), undefined);
  audit.decided(call(1000), sign('b'), undefined);
  audit.decided(call(1000), sign('a'), denied);
  assert.is(lines.length, 4);
  audit[Symbol.dispose]();
});

test('writes a decision again at once when it was not repeated for a while', async () => {
  const { audit, lines } = rig(20);
  audit.decided(call(1000), sign('a'), undefined);
  await new Promise((resolve) => setTimeout(resolve, 60));
  audit.decided(call(1000), sign('a'), undefined);
  assert.is(lines.length, 2);
  assert.is(lines[1]?.[2]['repeats'], undefined);
  audit[Symbol.dispose]();
});

test('shows no secret that a detail of a decision holds', () => {
  const { audit, lines } = rig();
  for (const [at, secret] of ['?9876', ';9876', '; 9876'].entries()) {
    const algorithm = `pkcs11:slot-id=0;object=device id${secret}`;
    const question = { action: 'create', details: { key_id: `k${at}`, algorithm, usages: 'sign' } };
    audit.decided(call(1000), question, undefined);
    const line = toLine({ priority: 'info', message: 'decided', fields: lines[at]?.[2] ?? {} });
    assert.not.match(line, /9876/);
    assert.match(line, 'algorithm:pkcs11:slot-id=0;object=device id');
    assert.match(line, 'usages:sign');
  }
  audit[Symbol.dispose]();
});

test('writes what the caller did wrong as info, what went wrong here as error, a refusal not twice', () => {
  const { audit, lines } = rig();
  audit.failed(call(1000), 'org.iotedge.Keys1.Sign', new ServiceError('NotFound', 'no key "a"'));
  const refusal = new ServiceError('AccessDenied', 'no');
  audit.decided(call(1000), sign('a'), refusal);
  audit.failed(call(1000), 'org.iotedge.Keys1.Sign', refusal);
  // what another service refused us is no decision of ours
  audit.failed(call(1000), 'org.iotedge.Keys1.Sign', new ServiceError('AccessDenied', 'theirs'));
  const cause = new Error('EIO');
  audit.failed(call(1000), 'org.iotedge.Keys1.Sign', new TypeError('broken', { cause }));
  audit.failed(undefined, 'org.iotedge.Keys1.Nonsense', new ServiceError('UnknownMethod', 'none'));
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

test('keeps no more of a reason than anybody reads', () => {
  const { audit, lines } = rig();
  const quoted = new ServiceError('InvalidArgs', `no option ${'x'.repeat(4 << 20)}`);
  audit.failed(call(1000), 'org.iotedge.Keys1.Sign', quoted);
  assert.is(String(lines[0]?.[2]['reason']).length, 1024);
  audit[Symbol.dispose]();
});

test('is not flooded by one caller with many ids, and still hears the others', () => {
  const { audit, lines } = rig();
  for (let count = 0; count < 10_000; count++)
    audit.decided(call(1000), sign(`k${count}`), undefined);
  const flood = lines.length;
  assert.ok(flood <= 32, `${flood} lines`);
  audit.decided(call(1001), sign('a'), undefined);
  assert.is(lines.length, flood + 1);
  // each kind is counted only when it was repeated, and those that share one entry always
  for (let count = 0; count < 10_000; count++)
    audit.decided(call(1000), sign(`k${count}`), undefined);
  assert.is(lines.length, flood + 1);
  audit[Symbol.dispose]();
  const counts = lines.slice(flood + 1);
  assert.ok(counts.length <= 33, `${counts.length} counts`);
  const repeats = counts.reduce((sum, [, , fields]) => sum + Number(fields['repeats']), 0);
  assert.is(flood + repeats, 20_000);
  assert.ok(counts.some(([, , fields]) => fields['others'] === true));
});

test('hides no reason behind another one, and bounds what one caller makes up', () => {
  const { audit, lines } = rig();
  const fail = (reason: string) =>
    audit.failed(call(1000), 'org.iotedge.Keys1.Sign', new ServiceError('Unavailable', reason));
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

test('counts the calls that were lost with their callers', () => {
  const { audit, lines } = rig();
  for (let count = 0; count < 3; count++) audit.lost('org.iotedge.Keys1.Sign', call(1000).caller);
  audit.lost('org.iotedge.Keys1.Sign', undefined);
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

test.run();
