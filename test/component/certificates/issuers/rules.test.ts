/** Certificates of every profile, judged on their DER by the rules of RFC 5280, and read by @peculiar/x509. */
import { execFileSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import type { Profile } from '../../../../src/certificates/config/certificate-rule.ts';
import type { Certificate } from '../../../../src/x509/certificate.ts';
import { certificateRules, violations } from '../../../support/x509/certificate-rules.ts';
import { issuedChains, selfSignedUntil } from './issued-chains.ts';

const test = suite('rules of RFC 5280');
const all = await issuedChains();

interface Content {
  readonly keyUsages: readonly number[];
  readonly purposes: readonly string[];
  readonly ca: boolean;
  readonly critical: readonly string[];
}

// the numbers of @peculiar/x509: digitalSignature 1, keyEncipherment 4, keyCertSign and cRLSign 96
const [client, server] = ['1.3.6.1.5.5.7.3.2', '1.3.6.1.5.5.7.3.1'];
const critical = ['2.5.29.15', '2.5.29.19'];
const contents: Readonly<Record<Profile, Content>> = {
  'device-identity': { keyUsages: [1], purposes: [client], ca: false, critical },
  client: { keyUsages: [1], purposes: [client], ca: false, critical },
  server: { keyUsages: [1, 5], purposes: [server], ca: false, critical },
  'device-ca': { keyUsages: [96], purposes: [], ca: true, critical },
  'workload-ca': { keyUsages: [96], purposes: [], ca: true, critical },
};

/** The fields that read-with-peculiar.mjs prints. */
interface Read {
  readonly serialNumber: string;
  readonly notBefore: string;
  readonly notAfter: string;
  readonly ca: boolean;
  readonly pathLength: number | null;
  readonly keyUsages: number;
  readonly purposes: readonly string[];
  readonly names: readonly { readonly type: string; readonly value: string }[];
  readonly critical: readonly string[];
  readonly isSignedByIssuer: boolean;
  readonly isWrittenAlike: boolean;
}

function readWithPeculiar(
  chains: readonly (readonly Certificate[])[],
): readonly (readonly Read[])[] {
  const script = '../../../../../test/support/x509/read-with-peculiar.mjs';
  const input = JSON.stringify(
    chains.map((chain) => chain.map(({ der }) => der.toString('base64'))),
  );
  const path = fileURLToPath(new URL(script, import.meta.url));
  const options = { input, encoding: 'utf8', timeout: 20_000, maxBuffer: 16 << 20 } as const;
  return JSON.parse(
    execFileSync(process.execPath, [path], options),
  ) as readonly (readonly Read[])[]; // printed by the script
}

for (const { section, rule } of certificateRules) {
  test(`${section}: ${rule}`, () => {
    for (const { what, chain } of all) {
      const broken = chain.flatMap(({ der }, at) =>
        violations(der, (chain[at + 1] ?? chain[at])?.der ?? der),
      );
      assert.not.ok(broken.includes(`${section}: ${rule}`), what);
    }
  });
}

test('4.1: each is DER, and has the members of a certificate and no other', () => {
  for (const { what, chain } of all) {
    for (const { der } of chain) {
      const broken = violations(der, der).filter((text) => text.startsWith('4.1: '));
      assert.equal(broken, [], what);
    }
  }
});

test('4.1.2.5: the last second of 2049 is a UTCTime, the next one a GeneralizedTime', async () => {
  for (const [until, written] of [
    ['2049-12-31T23:59:59Z', '\x17\x0d491231235959Z'],
    ['2050-01-01T00:00:00Z', '\x18\x0f20500101000000Z'],
    ['9999-12-31T23:59:59Z', '\x18\x0f99991231235959Z'],
  ] as const) {
    const { der, notAfter } = await selfSignedUntil(new Date(until));
    assert.is(notAfter.toISOString(), new Date(until).toISOString());
    assert.ok(der.includes(written, 'latin1'), until);
    assert.equal(violations(der, der), []);
  }
});

test('@peculiar/x509 reads the content of each profile, verifies it and writes the same octets', () => {
  const read = readWithPeculiar(all.map(({ chain }) => chain));
  for (const [at, { what, profile, chain }] of all.entries()) {
    const [leaf] = read[at] ?? [];
    const [own] = chain;
    assert.ok(leaf !== undefined && own !== undefined, what);
    const wanted = contents[profile];
    assert.ok(wanted.keyUsages.includes(leaf.keyUsages), `${what}: ${leaf.keyUsages}`);
    assert.equal(leaf.purposes, wanted.purposes, what);
    assert.is(leaf.ca, wanted.ca, what);
    const names = own.subjectText === '' ? ['2.5.29.17'] : [];
    assert.equal([...leaf.critical].sort(), [...wanted.critical, ...names].sort(), what);
    assert.is(leaf.names.length, own.alternativeNames.length, what);
    assert.is(leaf.notBefore, own.notBefore.toISOString(), what);
    assert.is(leaf.notAfter, own.notAfter.toISOString(), what);
    assert.is(BigInt(`0x${leaf.serialNumber}`), BigInt(`0x${own.serialNumber}`), what);
    for (const { isSignedByIssuer, isWrittenAlike } of read[at] ?? []) {
      assert.ok(isSignedByIssuer && isWrittenAlike, what);
    }
  }
});

test.run();
