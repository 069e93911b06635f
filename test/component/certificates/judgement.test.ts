import { createPrivateKey, type KeyObject } from 'node:crypto';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { judgeIssued } from '../../../src/certificates/judgement/judgement.ts';
import { nameConstraintsOid } from '../../../src/certificates/judgement/name-constraints.ts';
import { spkiOf } from '../../../src/x509/algorithm.ts';
import {
  type Certificate,
  encodeCertificatesPem,
  parseCertificatesPem,
} from '../../../src/x509/certificate.ts';
import { context, type Element, encode, raw, sequence } from '../../../src/x509/der/asn1.ts';
import {
  basicConstraints,
  type Extension,
  extendedKeyUsage,
  type KeyUsage,
  keyUsage,
  subjectAlternativeName,
} from '../../../src/x509/extensions.ts';
import { encodeName, parseName } from '../../../src/x509/name.ts';
import {
  parseAlternativeName,
  type SubjectAlternativeName,
} from '../../../src/x509/subject-alternative-name.ts';
import { issue, type TestCertificate } from '../../support/x509/issued-by.ts';
import { makeKey, openssl, Workspace } from '../../support/x509/openssl.ts';

const test = suite('judgement of issued certificates');

const day = 86_400_000;
const now = new Date('2026-06-01T12:00:00Z');
const at = (days: number): Date => new Date(now.getTime() + days * day);
const ms = (milliseconds: number): Date => new Date(now.getTime() + milliseconds);
const [rootKey, middleKey, leafKey] = [makeKey('ec-p256'), makeKey('ec-p384'), makeKey('ec-p256')];
const life = { notBefore: at(-10), notAfter: at(80) };
const edge = parseAlternativeName('dns', 'edge.example');

interface LeafOptions extends Partial<TestCertificate> {
  readonly names?: readonly SubjectAlternativeName[];
  readonly usages?: readonly KeyUsage[];
  readonly purposes?: readonly string[];
  readonly ca?: boolean;
  readonly more?: readonly Extension[];
}

function caExtensions(pathLength?: number, more: readonly Extension[] = []): readonly Extension[] {
  return [
    basicConstraints({ ca: true, pathLength }),
    keyUsage(['keyCertSign', 'cRLSign']),
    ...more,
  ];
}

function shortKey(): KeyObject {
  return createPrivateKey(openssl('genrsa', '1024'));
}

function dnsName(text: string): Element {
  return context(2, Buffer.from(text));
}

function nameElement(text: string): Element {
  return raw(encodeName(parseName(text)));
}

/** The extensions of a CA with name constraints. */
function constrained({
  permitted = [],
  excluded = [],
}: {
  readonly permitted?: readonly Element[];
  readonly excluded?: readonly Element[];
}): readonly Extension[] {
  const field = (number: number, bases: readonly Element[]): readonly Element[] =>
    bases.length === 0
      ? []
      : [
          context(
            number,
            bases.map((base) => sequence(base)),
          ),
        ];
  const value = encode(sequence(...field(0, permitted), ...field(1, excluded)));
  return caExtensions(undefined, [{ oid: nameConstraintsOid, critical: true, value }]);
}

/** A root, an intermediate below it, and what issues leaves below that. */
async function hierarchy({
  root: rootOptions = {},
  middle: middleOptions = {},
}: {
  readonly root?: Partial<TestCertificate>;
  readonly middle?: Partial<TestCertificate>;
} = {}) {
  const extensions = caExtensions();
  const root = await issue({ name: 'CN=root', key: rootKey, ...life, extensions, ...rootOptions });
  const byRoot = { certificate: root, key: rootOptions.key ?? rootKey };
  const middle = await issue({
    name: 'CN=middle',
    key: middleKey,
    by: byRoot,
    ...life,
    extensions,
    ...middleOptions,
  });
  const byMiddle = { certificate: middle, key: middleOptions.key ?? middleKey };
  const leaf = (options: LeafOptions = {}): Promise<Certificate> => {
    const { ca = false, more = [], names = [edge], purposes = ['serverAuth'] } = options;
    const { usages = ['digitalSignature'] } = options;
    return issue({
      name: 'CN=edge',
      key: leafKey,
      by: byMiddle,
      notBefore: at(-1),
      notAfter: at(30),
      extensions: [
        basicConstraints({ ca }),
        keyUsage(usages),
        ...(purposes.length === 0 ? [] : [extendedKeyUsage(purposes)]),
        ...(names.length === 0 ? [] : [subjectAlternativeName(names)]),
        ...more,
      ],
      ...options,
    });
  };
  return { root, middle, leaf };
}

const ordered = {
  spki: spkiOf(leafKey),
  profile: 'server',
  subject: parseName('CN=edge'),
  names: [edge],
} as const;

type Ordered = Parameters<typeof judgeIssued>[1];

function judge(
  certificates: readonly Certificate[],
  anchors: readonly Certificate[],
  expected: Ordered = ordered,
) {
  return judgeIssued({ certificates, others: [], anchors }, expected, now);
}

/** The reason of a refusal. */
function refusal(
  certificates: readonly Certificate[],
  anchors: readonly Certificate[],
  expected: Ordered = ordered,
): string {
  const verdict = judge(certificates, anchors, expected);
  return verdict.kind === 'refused' ? verdict.reason : `accepted ${String(verdict.chain.length)}`;
}

/** Whether OpenSSL accepts the leaf for a TLS server. */
function verifies(
  [leaf, ...others]: readonly Certificate[],
  anchors: readonly Certificate[],
): boolean {
  using files = new Workspace();
  const write = (name: string, all: readonly Certificate[]): string =>
    files.write(name, encodeCertificatesPem(all));
  const untrusted = others.length === 0 ? [] : ['-untrusted', write('others', others)];
  const options = ['-x509_strict', '-auth_level', '2', '-purpose', 'sslserver', '-no-CApath'];
  const time = ['-attime', String(now.getTime() / 1000)];
  const trusted = ['-CAfile', write('anchors', anchors)];
  try {
    const target = write('leaf', leaf === undefined ? [] : [leaf]);
    openssl('verify', ...options, ...time, ...trusted, ...untrusted, target);
    return true;
  } catch {
    return false;
  }
}

test('accept what was ordered, in whatever order it comes, and leave out the root', async () => {
  const { root, middle, leaf } = await hierarchy();
  const issued = await leaf();
  for (const certificates of [
    [issued, middle],
    [root, middle, issued],
  ]) {
    const verdict = judge(certificates, [root]);
    assert.equal(verdict, {
      kind: 'accepted',
      chain: [issued, middle],
      validFrom: issued.notBefore,
      remarks: [],
    });
  }
  assert.ok(verifies([issued, middle], [root]));
  const others = judgeIssued(
    { certificates: [issued], others: [middle], anchors: [root] },
    ordered,
    now,
  );
  assert.is(others.kind, 'accepted');
  assert.match(
    refusal([issued], [root]),
    /no trust anchor issued "CN=edge", whose issuer is "CN=middle"/,
  );
});

test('accept a trust anchor that is not self-signed, and keep it in the chain', async () => {
  const { middle, leaf } = await hierarchy();
  const issued = await leaf();
  const verdict = judge([issued], [middle]);
  assert.equal(verdict.kind === 'accepted' && verdict.chain, [issued, middle]);
});

test('find the certificate by its key, the one that lives longest', async () => {
  const { root, middle, leaf } = await hierarchy();
  const [old, issued] = [await leaf({ notAfter: at(2) }), await leaf()];
  const stranger = await leaf({ key: makeKey('ec-p256') });
  const verdict = judge([stranger, old, middle, issued], [root]);
  assert.is(verdict.kind === 'accepted' && verdict.chain[0], issued);
  assert.match(
    refusal([stranger, middle], [root]),
    /none of the 2 issued certificates is for the key/,
  );
});

test('state when a certificate or a CA above it becomes valid', async () => {
  const { root, middle, leaf } = await hierarchy({ middle: { notBefore: ms(300_000) } });
  const [early, late] = [await leaf(), await leaf({ notBefore: ms(600_000) })];
  const from = (one: Certificate) => {
    const verdict = judge([one, middle], [root]);
    return verdict.kind === 'accepted' ? verdict.validFrom.getTime() - now.getTime() : 0;
  };
  assert.is(from(early), 300_000);
  assert.is(from(late), 600_000);
});

// each is refused by OpenSSL, too
const hierarchies: readonly {
  readonly name: string;
  readonly reason: RegExp;
  readonly options?: Parameters<typeof hierarchy>[0];
  readonly leaf?: LeafOptions;
}[] = [
  {
    name: 'an expired leaf',
    reason: /"CN=edge" has expired at 2026-06-01T00:00/,
    leaf: { notAfter: at(-0.5) },
  },
  {
    name: 'an expired intermediate',
    reason: /"CN=middle" has expired/,
    options: { middle: { notAfter: at(-1) } },
  },
  {
    name: 'an expired root',
    reason: /"CN=root" has expired/,
    options: { root: { notAfter: at(-1) } },
  },
  {
    name: 'an intermediate that is no CA',
    reason: /"CN=middle" is not a CA/,
    options: { middle: { extensions: [basicConstraints({ ca: false })] } },
  },
  {
    name: 'an intermediate whose key may not sign certificates',
    reason: /"CN=middle" is not a CA/,
    options: { middle: { extensions: [basicConstraints({ ca: true }), keyUsage(['cRLSign'])] } },
  },
  {
    name: 'a root whose path length is 0',
    reason: /"CN=root" allows fewer CAs/,
    options: { root: { extensions: caExtensions(0) } },
  },
  {
    name: 'an intermediate for clients only',
    reason: /"CN=middle" may not issue for serverAuth/,
    options: {
      middle: { extensions: caExtensions(undefined, [extendedKeyUsage(['clientAuth'])]) },
    },
  },
  {
    name: 'a short RSA key',
    reason: /"CN=middle" has an RSA key of 1024 bits/,
    options: { middle: { key: shortKey() } },
  },
  {
    name: 'an unknown critical extension of the leaf',
    reason: /"CN=edge" has the critical extension 1\.2\.3\.4/,
    leaf: { more: [{ oid: '1.2.3.4', critical: true, value: Buffer.from('0500', 'hex') }] },
  },
  {
    name: 'an unknown critical extension of an intermediate',
    reason: /"CN=middle" has the critical extension 1\.2\.3\.4/,
    options: {
      middle: {
        extensions: caExtensions(undefined, [
          { oid: '1.2.3.4', critical: true, value: Buffer.from('0500', 'hex') },
        ]),
      },
    },
  },
  {
    name: 'a leaf for clients',
    reason: /is not for serverAuth/,
    leaf: { purposes: ['clientAuth'] },
  },
  {
    name: 'names that a constraint does not permit',
    reason: /"CN=middle" has name constraints that exclude a name of "CN=edge": "edge.example"/,
    options: { middle: { extensions: constrained({ permitted: [dnsName('other.example')] }) } },
  },
  {
    name: 'names that a constraint excludes',
    reason: /"CN=root" has name constraints that exclude a name of "CN=edge": "edge.example"/,
    options: { root: { extensions: constrained({ excluded: [dnsName('example')] }) } },
  },
];

test('refuse paths that verifiers refuse', async () => {
  for (const { name, reason, options, leaf: leafOptions } of hierarchies) {
    const { root, middle, leaf } = await hierarchy(options);
    const issued = await leaf(leafOptions);
    assert.match(refusal([issued, middle], [root]), reason, name);
    assert.not(verifies([issued, middle], [root]), `${name} with OpenSSL`);
  }
});

test('accept constraints that permit the names', async () => {
  for (const constraints of [
    { permitted: [dnsName('example')] },
    { permitted: [dnsName('edge.example'), dnsName('other.example')] },
    { excluded: [dnsName('dge.example')] },
    { permitted: [context(4, [nameElement('CN=edge')])] },
  ]) {
    const { root, middle, leaf } = await hierarchy({
      middle: { extensions: constrained(constraints) },
    });
    const issued = await leaf();
    assert.is(judge([issued, middle], [root]).kind, 'accepted', JSON.stringify(constraints));
    assert.ok(verifies([issued, middle], [root]));
  }
});

test('apply constraints to addresses, URIs and subjects', async () => {
  const address = parseAlternativeName('ip', '192.0.2.7');
  const uri = parseAlternativeName('uri', 'https://edge.example/a');
  const expected = { ...ordered, names: [address, uri] };
  const net = (text: string) => context(7, Buffer.from(text, 'hex'));
  const host = (text: string) => context(6, Buffer.from(text));
  for (const [constraint, isAccepted] of [
    [{ permitted: [net('c0000200ffffff00')] }, true],
    [{ permitted: [net('c0000300ffffff00')] }, false],
    [{ excluded: [net('c0000200ffffff00')] }, false],
    [{ excluded: [net('20010db8000000000000000000000000ffffffff000000000000000000000000')] }, true],
    [{ permitted: [host('.example')] }, true],
    [{ permitted: [host('edge.example')] }, true],
    [{ permitted: [host('example')] }, false],
    [{ excluded: [host('.example')] }, false],
    [{ permitted: [context(4, [nameElement('CN=other')])] }, false],
    [{ excluded: [context(4, [nameElement('CN=edge')])] }, false],
  ] as const) {
    const { root, middle, leaf } = await hierarchy({
      middle: { extensions: constrained(constraint) },
    });
    const issued = await leaf({ names: [address, uri] });
    const verdict = judge([issued, middle], [root], expected);
    const text = JSON.stringify(constraint);
    assert.is(verdict.kind, isAccepted ? 'accepted' : 'refused', text);
    assert.is(verifies([issued, middle], [root]), isAccepted, `${text} with OpenSSL`);
  }
});

test('refuse what a constraint cannot decide: a URI without a host, an address of another length', async () => {
  const urn = parseAlternativeName('uri', 'urn:edge');
  const expected = { ...ordered, names: [urn] };
  const verdictWith = async (constraint: Parameters<typeof constrained>[0]) => {
    const extensions = constrained(constraint);
    const { root, middle, leaf } = await hierarchy({ middle: { extensions } });
    return refusal([await leaf({ names: [urn] }), middle], [root], expected);
  };
  const host = context(6, Buffer.from('.example'));
  assert.match(await verdictWith({ permitted: [host] }), /exclude a name of .*urn:edge/);
  assert.match(await verdictWith({ excluded: [host] }), /exclude a name of .*urn:edge/);
  const short = context(7, Buffer.from('c00002ff', 'hex'));
  assert.match(await verdictWith({ excluded: [short] }), /name constraints are malformed/);
});

test('refuse constrained kinds of names that are not processed', async () => {
  const mail = context(1, Buffer.from('example.com'));
  const { root, middle, leaf } = await hierarchy({
    middle: { extensions: constrained({ permitted: [mail] }) },
  });
  const [without, named] = [
    await leaf(),
    await leaf({ name: 'CN=edge,emailAddress=a@example.com' }),
  ];
  assert.is(judge([without, middle], [root]).kind, 'accepted');
  assert.match(refusal([named, middle], [root]), /exclude a name of .*a@example\.com/);
});

test('refuse SHA-1, which node:crypto verifies', async () => {
  using files = new Workspace();
  const { root } = await hierarchy();
  const write = (name: string, key: typeof rootKey): string =>
    files.write(name, key.export({ type: 'pkcs8', format: 'pem' }));
  const [ca, caKey, key] = [
    files.write('ca', encodeCertificatesPem([root])),
    write('ca.key', rootKey),
    write('key', leafKey),
  ];
  const csr = files.write('csr', openssl('req', '-new', '-key', key, '-subj', '/CN=edge'));
  const extensions = files.write(
    'ext',
    'basicConstraints=critical,CA:false\nsubjectAltName=DNS:edge.example\nextendedKeyUsage=serverAuth\n',
  );
  const by = ['-CA', ca, '-CAkey', caKey, '-set_serial', '7'];
  const pem = openssl('x509', '-req', '-sha1', '-in', csr, ...by, '-extfile', extensions);
  const issued = parseCertificatesPem(Buffer.from(pem), 'leaf');
  const verdict = judgeIssued(
    { certificates: issued, others: [], anchors: [root] },
    ordered,
    new Date(),
  );
  assert.is(issued[0]?.x509.verify(root.x509.publicKey), true);
  assert.match(JSON.stringify(verdict), /is signed with ecdsa-sha1, which is not accepted/);
});

const strictNames: readonly {
  readonly name: string;
  readonly leaf: LeafOptions;
  readonly expected?: Partial<Ordered>;
  readonly reason: RegExp;
}[] = [
  {
    name: 'a CA in place of a leaf',
    leaf: { ca: true },
    reason: /is a CA, which "server" must not be/,
  },
  {
    name: 'a leaf whose key may sign certificates',
    leaf: { usages: ['digitalSignature', 'keyCertSign'] },
    reason: /has a key that may sign certificates/,
  },
  { name: 'a key that may not sign', leaf: { usages: ['keyAgreement'] }, reason: /may not sign$/ },
  { name: 'another common name', leaf: { name: 'CN=other' }, reason: /common name "other"/ },
  {
    name: 'a second common name',
    leaf: { name: 'CN=other,CN=edge' },
    reason: /common name "other", which was not ordered/,
  },
  {
    name: 'a name outside the order',
    leaf: { names: [edge, parseAlternativeName('dns', 'other.example')] },
    reason: /has the name "dns:other.example", which was not ordered/,
  },
  {
    name: 'a wildcard',
    leaf: { names: [edge, parseAlternativeName('dns', '*.example')] },
    reason: /"dns:\*\.example"/,
  },
  {
    name: 'a server without its name',
    leaf: { names: [] },
    reason: /lacks the name "dns:edge.example"/,
  },
  {
    name: 'a leaf in place of a CA',
    leaf: {},
    expected: { profile: 'workload-ca' },
    reason: /is not a CA/,
  },
];

test('refuse rights and names that were not ordered', async () => {
  const { root, middle, leaf } = await hierarchy();
  for (const { name, leaf: options, expected, reason } of strictNames) {
    const issued = await leaf(options);
    assert.match(refusal([issued, middle], [root], { ...ordered, ...expected }), reason, name);
  }
});

test('accept and mention what CAs add and leave out', async () => {
  const { root, middle, leaf } = await hierarchy();
  const client = {
    ...ordered,
    profile: 'client',
    subject: parseName('CN=edge,O=Contoso'),
  } as const;
  const issued = await leaf({
    name: 'CN=edge,OU=Devices',
    names: [parseAlternativeName('dns', 'edge')],
    purposes: ['clientAuth', 'serverAuth'],
  });
  const verdict = judge([issued, middle], [root], client);
  assert.equal(verdict.kind === 'accepted' && verdict.remarks, [
    'it is also for serverAuth',
    'the name "dns:edge.example" was left out',
    '"O=Contoso" was left out of the subject',
    '"OU=Devices" was added to the subject',
  ]);
});

test('mention the first of very many differences only, as each is a record of the log', async () => {
  const { root, middle, leaf } = await hierarchy();
  const more = Array.from({ length: 100 }, (_, number) => `1.3.6.1.4.1.311.${number}`);
  const issued = await leaf({ purposes: ['serverAuth', ...more] });
  const verdict = judge([issued, middle], [root]);
  assert.is(verdict.kind === 'accepted' && verdict.remarks.length, 16);
});

test('refuse name constraints, and names below them, that take long to compare', async () => {
  const hosts = (length: number) => Array.from({ length }, (_, number) => `host${number}.example`);
  const judged = async (constraints: number, names: number): Promise<string> => {
    const permitted = hosts(constraints - 1).map((host) => dnsName(`not.${host}`));
    const { root, middle, leaf } = await hierarchy({
      root: { extensions: constrained({ permitted: [...permitted, dnsName('example')] }) },
      middle: {
        extensions: caExtensions(undefined, [
          subjectAlternativeName(hosts(names - 3).map((host) => parseAlternativeName('dns', host))),
        ]),
      },
    });
    return refusal([await leaf(), middle], [root]);
  };
  for (const [constraints, names] of [
    [1, 1024],
    [64, 1024],
    [1024, 64],
  ] as const)
    assert.is(await judged(constraints, names), 'accepted 2', `${constraints}, ${names}`);
  for (const [constraints, names] of [
    [1, 1025],
    [65, 1024],
    [1025, 4],
  ] as const) {
    const reason = await judged(constraints, names);
    assert.match(reason, /too many name constraints/, `${constraints}, ${names}`);
  }
});

test('verify at most 100 signatures, however many CAs have one name', async () => {
  const { root, leaf } = await hierarchy();
  const issued = await leaf();
  let verified = 0;
  const counted = (one: Certificate): Certificate => {
    const { x509 } = one;
    const verify = x509.verify.bind(x509);
    x509.verify = (key) => {
      verified++;
      return verify(key);
    };
    return one;
  };
  const same = await Promise.all(
    Array.from({ length: 6 }, () =>
      issue({ name: 'CN=middle', key: middleKey, ...life, extensions: caExtensions() }),
    ),
  );
  assert.match(refusal([issued, ...same].map(counted), [root]), /no trust anchor issued/);
  assert.is(verified, 100);
});

test.run();
