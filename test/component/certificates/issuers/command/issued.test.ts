/** Which certificates of helpers are accepted. */
import type { KeyObject } from 'node:crypto';
import { writeFile } from 'node:fs/promises';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { localSigner, spkiOf } from '../../../../../src/x509/algorithm.ts';
import {
  type Certificate,
  encodeCertificatesPem,
  parseCertificate,
} from '../../../../../src/x509/certificate.ts';
import { buildCertificate } from '../../../../../src/x509/certificate-builder.ts';
import { basicConstraints, keyUsage } from '../../../../../src/x509/extensions.ts';
import { encodeName, parseName } from '../../../../../src/x509/name.ts';
import { encodePkcs7 } from '../../../../../src/x509/pkcs7.ts';
import { makeCa, makeKey, openssl } from '../../../../support/x509/openssl.ts';
import { Helpers } from './helper-directory.ts';

const test = suite('the certificate of a helper');
const [rootKey, middleKey, otherKey] = Array.from({ length: 3 }, () => makeKey('ec-p256')) as [
  KeyObject,
  KeyObject,
  KeyObject,
];
const root = await makeCa({ name: 'CN=root', key: rootKey });
const by = { certificate: root, key: rootKey };
const middle = await makeCa({ name: 'CN=middle', key: middleKey, by });
const stranger = await makeCa({ name: 'CN=stranger', key: otherKey });

interface Wanted {
  readonly subject?: string;
  readonly hours?: readonly [from: number, to: number];
  readonly isCa?: boolean;
  readonly key?: KeyObject;
  readonly signedWith?: KeyObject;
}

async function leafFor(helpers: Helpers, wanted: Wanted = {}): Promise<Certificate> {
  const { subject = 'CN=x', hours: [from, to] = [-1, 5], isCa = false } = wanted;
  const at = (hour: number) => new Date(Math.floor(Date.now() / 1000) * 1000 + hour * 3_600_000);
  const der = await buildCertificate(
    {
      subjectDer: encodeName(parseName(subject)),
      spki: spkiOf(wanted.key ?? helpers.key),
      validity: { notBefore: at(from), notAfter: at(to) },
      extensions: [
        basicConstraints({ ca: isCa }),
        keyUsage([isCa ? 'keyCertSign' : 'digitalSignature']),
      ],
    },
    middle,
    localSigner(wanted.signedWith ?? middleKey),
  );
  return parseCertificate(der, 'it');
}

/** What a helper that writes this leads to: the subjects of the chain, or why it is refused. */
async function given(helpers: Helpers, output: string | Buffer): Promise<string> {
  await writeFile(helpers.path('output'), output);
  const answer = await helpers.run(`cat ${helpers.path('output')}`);
  if (answer.kind === 'issued') return answer.chain.map((one) => one.subjectText).join(' ');
  if (answer.kind !== 'rejected') return answer.kind;
  const isOutput = !answer.reason.startsWith('the helper gave no certificate');
  assert.is(
    answer.isDecided === true,
    isOutput,
    'the same request would lead to the same certificate',
  );
  return `refused: ${answer.reason}`;
}

const pem = (...certificates: readonly Certificate[]) => encodeCertificatesPem(certificates);

test('is taken in each form, with its chain in any order and without root and strangers', async () => {
  await using helpers = await Helpers.create();
  const leaf = await leafFor(helpers);
  const json = JSON.stringify({
    certificate: pem(leaf),
    chain: [{ nickname: 'a', certificate: pem(middle) }],
    roots: [{ nickname: 'b', certificate: pem(root) }],
  });
  for (const output of [
    pem(leaf, middle),
    pem(leaf, middle, root),
    pem(root, middle, leaf),
    pem(stranger, middle, leaf),
    `issued to x\n${pem(leaf, middle)}`,
    encodePkcs7([leaf, middle, root]),
    json,
  ]) {
    assert.is(await given(helpers, output), 'CN=x CN=middle');
  }
  assert.is(await given(helpers, pem(leaf)), 'CN=x', 'alone, when its issuer is not known');
  assert.is(await given(helpers, leaf.der), 'CN=x');
});

test('is refused unless it is what was ordered', async () => {
  await using helpers = await Helpers.create();
  const refused = async (what: RegExp, wanted: Wanted, ...above: readonly Certificate[]) => {
    const leaf = await leafFor(helpers, wanted);
    const answer = await given(helpers, pem(leaf, ...(above.length === 0 ? [middle] : above)));
    assert.match(answer, /^refused: /);
    assert.match(answer, what);
  };
  await refused(/none of the 2 issued certificates is for the key/, { key: otherKey });
  await refused(/has expired/, { hours: [-5, -1] });
  await refused(/is a CA/, { isCa: true });
  await refused(/common name "y"/, { subject: 'CN=y' });
  await refused(/no trust anchor issued "CN=x"/, { signedWith: otherKey });
  await refused(/no trust anchor issued "CN=x"/, {}, stranger);
});

test('that comes alone must be signed with a hash that verifiers accept', async () => {
  await using helpers = await Helpers.create();
  await writeFile(
    helpers.path('key'),
    helpers.key.export({ format: 'pem', type: 'pkcs8' }).toString(),
  );
  const make = (digest: string) =>
    openssl(
      ...`req -x509 -new -subj /CN=x -days 1 -${digest} -key ${helpers.path('key')}`.split(' '),
      '-addext',
      'basicConstraints=critical,CA:false',
    );
  assert.is(await given(helpers, make('sha256')), 'CN=x');
  assert.match(await given(helpers, make('sha1')), /^refused: .*no trust anchor/);
});

test.run();
