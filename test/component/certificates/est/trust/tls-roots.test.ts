import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import type { TaughtAnchors } from '../../../../../src/certificates/est/trust/anchors.ts';
import { TlsRoots } from '../../../../../src/certificates/est/trust/tls-roots.ts';
import type { Certificate } from '../../../../../src/x509/certificate.ts';
import { parseCertificatesPem } from '../../../../../src/x509/certificate.ts';
import { makeCa } from '../../../../support/est/ca.ts';

const test = suite('EST roots of TLS');
const now = new Date('2026-06-01T00:00:00Z');

/** The names of the roots that TLS is verified with. */
async function rootsOf(
  files: Readonly<Record<string, Certificate>>,
  taught?: Certificate,
): Promise<readonly string[]> {
  const anchors = (): TaughtAnchors | undefined =>
    taught && { roots: [taught], topmost: [], newWithOld: [], intermediates: [] };
  const roots = new TlsRoots({
    name: 'hq',
    files: Object.keys(files),
    readFile: (path) => Promise.resolve([files[path]].flatMap((one) => one ?? [])),
    taught: anchors,
  });
  const pem = await roots.read(now);
  return parseCertificatesPem(Buffer.from(pem), 'roots').map(({ subjectText }) => subjectText);
}

test('are those of trusted_ca and the taught ones, and not those of the system', async () => {
  const [one, other, taught] = [await makeCa('one'), await makeCa('other'), await makeCa('taught')];
  const files = { '/one': one.certificate, '/other': other.certificate };
  assert.equal(await rootsOf(files), ['CN=one', 'CN=other']);
  assert.equal(await rootsOf(files, taught.certificate), ['CN=one', 'CN=other', 'CN=taught']);
});

test('are those of the system and the taught ones without trusted_ca', async () => {
  const taught = await makeCa('taught');
  const system = await rootsOf({});
  assert.ok(system.length > 10, `${system.length} roots`);
  assert.equal(await rootsOf({}, taught.certificate), [...system, 'CN=taught']);
});

test.run();
