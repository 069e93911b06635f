import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { BusError, errorFromWire, wireNameOf } from '../../../src/dbus/wire-errors.ts';
import { isServiceError } from '../../../src/errors.ts';

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

test('calls a peer that cannot be reached Unavailable and keeps what the bus said', () => {
  for (const name of ['ServiceUnknown', 'NoReply', 'Disconnected', 'Spawn.ExecFailed']) {
    const error = errorFromWire(`org.freedesktop.DBus.Error.${name}`, 'why');
    assert.ok(isServiceError(error, 'Unavailable'), name);
    assert.instance(error.cause, BusError);
  }
});

test('passes on what it does not know by its name', () => {
  const error = errorFromWire('a.b.Error.Odd', '');
  assert.instance(error, BusError);
  assert.is((error as BusError).errorName, 'a.b.Error.Odd');
  assert.is(error.message, 'a.b.Error.Odd');
});

test.run();
