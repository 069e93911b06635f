import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { BusPublisher } from '../../../src/certificates/publisher.ts';
import type { Server } from '../../../src/dbus/server/serve.ts';
import type { certificatesService } from '../../../src/interfaces/certificates.ts';

const test = suite('what is published of the certificates service');

/** A publisher, what it shows last, and the signals that it emits. */
function watched() {
  const publisher = new BusPublisher();
  const signals: string[] = [];
  const server = {
    putObject: () => undefined,
    removeObject: () => undefined,
    setProperties: () => undefined,
    emit: (member: string) => signals.push(member),
  };
  publisher.attach(server as unknown as Server<typeof certificatesService>); // what a display calls
  return { publisher, signals };
}

test('is well at first, with no trust bundle', () => {
  const { publisher } = watched();
  assert.equal(publisher.state, { Health: 'ok', LastError: '', TrustBundleDigest: '' });
});

test('emits a trust bundle when it is another one, and only then', () => {
  const { publisher, signals } = watched();
  publisher.trustBundle('a');
  assert.equal(signals, ['TrustBundleChanged']);
  assert.is(publisher.state.TrustBundleDigest, 'a');
  publisher.trustBundle('a');
  assert.is(signals.length, 1);
  publisher.trustBundle('');
  assert.is(signals.length, 2);
  assert.is(publisher.state.TrustBundleDigest, '');
});

test('is degraded as long as a certificate or the disk is not well, and names both', () => {
  const { publisher } = watched();
  const shown = () => [publisher.state.Health, publisher.state.LastError];
  publisher.health(['one', 'other']);
  assert.equal(shown(), ['degraded', 'one; other']);
  publisher.disk('it is full');
  assert.equal(shown(), ['degraded', 'it is full; one; other']);
  publisher.health([]);
  assert.equal(shown(), ['degraded', 'it is full']);
  publisher.disk('');
  assert.equal(shown(), ['ok', '']);
});

test('names as much as fits into 1024 characters', () => {
  const { publisher } = watched();
  publisher.health(['x'.repeat(1000), 'y'.repeat(1000)]);
  assert.is(publisher.state.LastError, `${'x'.repeat(1000)}; ${'y'.repeat(22)}`);
});

test.run();
