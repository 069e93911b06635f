import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { BusError, errorFromWire, wireNameOf } from '../../../../src/dbus/wire/wire-errors.ts';
import { isServiceError } from '../../../../src/errors.ts';

const test = suite('dbus wire errors');

test('maps every code to its name and back', () => {
  const standard = 'AccessDenied InteractiveAuthorizationRequired InvalidArgs LimitsExceeded';
  const unknown = 'UnknownMethod UnknownObject UnknownInterface UnknownProperty PropertyReadOnly';
  const own = 'NotFound AlreadyExists NotSupported Unavailable NotProvisioned Cancelled Failed';
  const codes = [
    ...`${standard} ${unknown}`.split(' ').map((code) => ['org.freedesktop.DBus.Error', code]),
    ...own.split(' ').map((code) => ['org.iotedge.Error', code]),
  ];
  for (const [prefix, code = ''] of codes) {
    const error = errorFromWire(`${prefix}.${code}`, 'why');
    assert.ok(isServiceError(error), code);
    assert.is(`${prefix}.${error.code}`, `${prefix}.${code}`);
    assert.is(wireNameOf(error.code), `${prefix}.${code}`);
  }
});

test('maps an unreachable peer to Unavailable and includes the text of the bus', () => {
  const names =
    'ServiceUnknown NameHasNoOwner NoReply Disconnected TimedOut Timeout Spawn.ExecFailed';
  const activation = ['org.freedesktop.systemd1.LoadFailed', 'org.freedesktop.systemd1.NoSuchUnit'];
  const all = [
    ...names.split(' ').map((name) => `org.freedesktop.DBus.Error.${name}`),
    ...activation,
  ];
  for (const name of all) {
    const error = errorFromWire(name, 'why');
    assert.is(error.message, 'why');
    assert.ok(isServiceError(error, 'Unavailable'), name);
    assert.instance(error.cause, BusError);
  }
});

test('passes on unknown errors by their name', () => {
  const error = errorFromWire('a.b.Error.Odd', '');
  assert.instance(error, BusError);
  assert.is((error as BusError).errorName, 'a.b.Error.Odd');
  assert.is(error.message, 'a.b.Error.Odd');
  for (const name of [
    'org.freedesktop.DBus.Error.NoMemory',
    'org.freedesktop.DBus.Error.FileNotFound',
  ]) {
    assert.instance(errorFromWire(name, 'why'), BusError, name);
  }
  for (const name of [
    'toString',
    'org.iotedge.Error.AccessDenied',
    'org.freedesktop.DBus.Error.NotFound',
  ]) {
    assert.instance(errorFromWire(name, 'why'), BusError, name);
  }
});

test.run();
