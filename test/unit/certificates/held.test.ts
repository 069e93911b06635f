import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { propertiesOf } from '../../../src/certificates/held.ts';
import { PropertySet } from '../../../src/dbus/properties.ts';
import { WireWriter, writersOf } from '../../../src/dbus/writer.ts';
import { isServiceError } from '../../../src/errors.ts';
import { certificateInterface } from '../../../src/interfaces/certificates.ts';
import { parseCertificate, parseCertificatesPem } from '../../../src/x509/certificate.ts';
import { before1970, otherName, universalString } from '../x509/found-certificates.ts';

const test = suite('what is shown of a certificate');

/** Writes all properties as GetManagedObjects and Describe do. */
function show(der: Buffer): void {
  const chain = [parseCertificate(der, 'it')];
  const held = { id: 'x', chain, keyId: '', preloaded: false };
  const properties = propertiesOf(held, { now: new Date(), keyId: '' });
  const set = new PropertySet(certificateInterface, properties);
  const [write] = writersOf('a{sv}');
  assert.ok(write);
  write(new WireWriter(4096), set.all());
  set.jsonText();
}

test('can be written whatever stands in it, or it is refused', () => {
  let shown = 0;
  for (const pem of [before1970, otherName, universalString]) {
    const [it] = parseCertificatesPem(Buffer.from(pem), 'it');
    assert.ok(it);
    for (let at = 0; at < it.der.length; at++) {
      const changed = Buffer.from(it.der);
      changed.writeUInt8(changed.readUInt8(at) ^ 0x55, at);
      try {
        show(changed);
        shown++;
      } catch (error) {
        assert.ok(isServiceError(error, 'InvalidArgs'), `${at}: ${String(error)}`);
      }
    }
  }
  assert.ok(shown > 100, String(shown));
});

test.run();
