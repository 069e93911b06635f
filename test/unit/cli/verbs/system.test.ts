import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { digestIn, refusalOf } from '../../../../src/cli/apply/reload-services.ts';
import { UsageError } from '../../../../src/cli/command.ts';
import { lastRecordArguments } from '../../../../src/cli/systemd/last-record.ts';
import { namedServices } from '../../../../src/cli/systemd/units.ts';
import { needsAgent } from '../../../../src/cli/terminal-agent.ts';
import { journalArguments } from '../../../../src/cli/verbs/system-logs.ts';
import { problemOf } from '../../../../src/cli/verbs/system-restart.ts';
import { lineOf } from '../../../../src/cli/verbs/system-status.ts';

const test = suite('verbs about the system');

const unit = (active: string, more: Readonly<Record<string, unknown>> = {}) =>
  new Map<string, unknown>(
    Object.entries({ LoadState: 'loaded', ActiveState: active, SubState: 'sub', ...more }),
  );

test('find services by name and unit, each before those that call it', () => {
  const names = (...words: readonly string[]) => namedServices(words).map(({ name }) => name);
  assert.equal(names(), ['keys', 'certificates', 'identity', 'modules']);
  assert.equal(names('modules', 'iotedge-keys.service', 'keys'), ['keys', 'modules']);
  assert.throws(
    () => names('keyz'),
    (error: unknown) => error instanceof UsageError,
  );
});

test('run journalctl with the units', () => {
  const { keys, all } = { keys: namedServices(['keys']), all: namedServices([]) };
  assert.equal(journalArguments(keys, {}), ['--output=short-iso', '--unit=iotedge-keys.service']);
  const options = { follow: true, since: '-2h', lines: '5', json: true };
  assert.equal(journalArguments(all, options), [
    '--output=json',
    '--unit=iotedge-keys.service',
    '--unit=iotedge-certificates.service',
    '--unit=iotedge-identity.service',
    '--unit=iotedge-modules.service',
    '--follow',
    '--since=-2h',
    '--lines=5',
  ]);
});

test('say of each unit whether it is as it must be', () => {
  const verdict = (name: string, active: string, more = {}) => {
    const { verdict: found, detail } = lineOf({ unit: name, properties: unit(active, more) });
    return `${found}: ${detail}`;
  };
  assert.is(verdict('iotedge-keys.service', 'inactive'), 'ok: starts when it is called');
  assert.match(verdict('iotedge-modules.service', 'inactive'), /^failing: .*enable --now/);
  assert.match(verdict('iotedge-modules-workload.socket', 'inactive'), /^failing: .*start/);
  assert.match(verdict('iotedge-identity.timer', 'inactive'), /^failing: /);
  const failed = { Result: 'exit-code', ExecMainStatus: 78 };
  assert.match(verdict('iotedge-keys.service', 'failed', failed), /^failing: .*config check/);
  assert.match(verdict('iotedge-keys.service', 'inactive', { LoadState: 'masked' }), 'masked');
  assert.is(verdict('x.socket', 'inactive', { LoadState: 'not-found' }), 'failing: not installed');
  const listen = { Listen: [['Stream', '/run/m.sock']] };
  assert.is(verdict('iotedge-modules-workload.socket', 'active', listen), 'ok: /run/m.sock');
  const timer = { NextElapseUSecRealtime: 1_769_860_800_000_000n };
  assert.is(verdict('iotedge-identity.timer', 'active', timer), 'ok: next at 2026-01-31 12:00 UTC');
  const never = { SubState: 'running', NextElapseUSecRealtime: 2n ** 64n - 1n };
  assert.match(verdict('iotedge-identity.timer', 'active', never), /^ok: waits for the end/);
});

test('show what a running service says of itself', () => {
  const facts = { unit: 'iotedge-keys.service', properties: unit('active', { MainPID: 7 }) };
  const ill = lineOf({ ...facts, description: { health: 'degraded', lastError: 'no token' } });
  assert.equal([ill.verdict, ill.detail], ['degraded', 'no token']);
  const well = lineOf({ ...facts, description: { health: 'ok', lastError: '' } });
  assert.equal([well.verdict, well.detail], ['ok', 'process 7']);
  assert.is(lineOf({ ...facts, failure: 'no reply' }).verdict, 'failing');
});

test('look in the journal for what the latest process of a unit wrote', () => {
  const args = lastRecordArguments('x.service', Buffer.from('0aff', 'hex'));
  assert.equal(args.slice(-2), ['_SYSTEMD_UNIT=x.service', '_SYSTEMD_INVOCATION_ID=0aff']);
  assert.is(lastRecordArguments('x.service', undefined).at(-1), '_SYSTEMD_UNIT=x.service');
});

test('say why a service was not restarted', () => {
  assert.is(problemOf('done', 'x.service', 'unit x.service has failed'), '');
  assert.is(problemOf('failed', 'x.service', 'it has failed'), 'it has failed');
  assert.match(problemOf('timeout', 'x.service'), '"timeout" for x.service');
});

test('ask for a password at a terminal, and not root', () => {
  assert.ok(needsAgent(1000, true));
  assert.not.ok(needsAgent(1000, false));
  assert.not.ok(needsAgent(0, true));
});

test('compare the digest of the configuration in force, and say why it is another', () => {
  assert.is(digestIn({ whole: { configuration: { digest: 'd' } } }), 'd');
  for (const whole of [undefined, {}, { configuration: null }, { configuration: { digest: 1 } }]) {
    assert.is(digestIn({ whole }), undefined);
  }
  assert.match(refusalOf({ lastError: 'restart needed: x' }, 'keys'), 'system restart keys');
  assert.match(refusalOf({ lastError: '' }, 'keys'), 'system logs keys');
  assert.not.match(refusalOf({ lastError: 'bad key' }, 'keys'), 'restart');
});

test.run();
