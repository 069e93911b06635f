const suite = 'component/certificates/issuers/rules';

export default [
  {
    breaks: 'basic constraints are not critical',
    text: 'return { oid: extensionOids.basicConstraints, critical: true, value: encode(value) };',
    becomes:
      'return { oid: extensionOids.basicConstraints, critical: false, value: encode(value) };',
    suite,
  },
  {
    breaks: 'bits of a key usage that are not used are counted as used',
    text: 'const unused = bytes.length * 8 - (last + 1);',
    becomes: 'const unused = 0;',
    suite,
  },
  {
    breaks: 'times of 2049 are GeneralizedTime',
    text: 'const short = year >= 1950 && year < 2050;',
    becomes: 'const short = year >= 1950 && year < 2049;',
    suite,
  },
  {
    breaks: 'certificates have no subject key identifier',
    text: '    subjectKeyId(keyIdentifier(spki)),\n',
    becomes: '',
    suite,
  },
  {
    breaks: 'serial numbers have 21 octets',
    text: 'const bytes = randomBytes(16);',
    becomes: 'const bytes = randomBytes(21);',
    suite,
  },
  {
    breaks: 'a country is a UTF8String',
    text: "['C', kind('2.5.4.6', 2, universal.printableString)],",
    becomes: "['C', kind('2.5.4.6', 2)],",
    suite,
  },
  {
    breaks: 'a CA may have as many CAs below it as its issuer',
    text: 'const below = Math.min(pathLength ?? 0, room - 1);',
    becomes: 'const below = Math.min(pathLength ?? 0, room);',
    suite,
  },
  {
    breaks: 'the members of a SET are in the order in which they are written in a configuration',
    text: 'const sorted = elements.toSorted((left, right) => Buffer.compare(encode(left), encode(right)));',
    becomes: 'const sorted = elements;',
    suite,
  },
  {
    breaks: 'alternative names are never critical, also without a subject',
    text: 'const critical = subjectDer.length === 2; // an empty SEQUENCE',
    becomes: 'const critical = false;',
    suite: 'component/certificates/issuers/verifiers',
  },
  {
    breaks: 'servers have the purpose of clients',
    text: "server: { pathLength: undefined, keyUsage: leaf, extendedKeyUsage: ['serverAuth'] },",
    becomes: "server: { pathLength: undefined, keyUsage: leaf, extendedKeyUsage: ['clientAuth'] },",
    suite: 'component/certificates/issuers/verifiers',
  },
];
