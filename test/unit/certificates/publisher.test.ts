import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { BusPublisher } from '../../../src/certificates/publisher.ts';
import { certificatesService } from '../../../src/interfaces/certificates.ts';
import { ShownObjects } from '../../support/wire/shown-objects.ts';

const test = suite('what is published of the certificates service');

/** A publisher, what it shows last, and the signals of the manager that are no changes. */
function watched() {
  const objects = new ShownObjects(certificatesService);
  const publisher = new BusPublisher(objects);
  const signals: string[] = [];
  objects.emit = (member) => void signals.push(member);
  return { objects, publisher, signals };
}

test('is well at first, with no trust bundle', () => {
  const { objects } = watched();
  const wanted = { Version: '', Health: 'ok', LastError: '', TrustBundleDigest: '' };
  assert.equal(objects.properties, wanted);
});

test('emits a trust bundle when it is another one, and only then', () => {
  const { objects, publisher, signals } = watched();
  publisher.trustBundle('a');
  assert.equal(signals, ['TrustBundleChanged']);
  assert.is(objects.properties.TrustBundleDigest, 'a');
  publisher.trustBundle('a');
  assert.is(signals.length, 1);
  publisher.trustBundle('');
  assert.is(signals.length, 2);
  assert.is(objects.properties.TrustBundleDigest, '');
});

test('is degraded as long as a certificate or the disk is not well, and names both', () => {
  const { objects, publisher } = watched();
  const shown = () => [objects.properties.Health, objects.properties.LastError];
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
  const { objects, publisher } = watched();
  publisher.health(['x'.repeat(1000), 'y'.repeat(1000)]);
  assert.is(objects.properties.LastError, `${'x'.repeat(1000)}; ${'y'.repeat(22)}`);
});

test.run();
