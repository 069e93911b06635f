/** Requests, imports and answers of EST servers that have to be refused, each by the line that refuses it. */
const requests = 'component/certificates/bad-input';
const answers = 'integration/est/bad-input';

export default [
  {
    breaks: 'a request may ask for the rights of a CA where no profile has them',
    text: 'if (basicConstraints?.ca === true && !isCaProfile(profile))',
    becomes: 'if (false)',
    suite: requests,
  },
  {
    breaks: 'a name constraint in a request is ignored',
    text: 'others: [...byOid.keys()].filter((id) => !known.includes(id)),',
    becomes: "others: [...byOid.keys()].filter((id) => !known.includes(id) && id !== '2.5.29.30'),",
    suite: requests,
  },
  {
    breaks: 'an extension of a request that is not supported is ignored',
    text: 'if (others[0] !== undefined) {',
    becomes: 'if (false) {',
    suite: requests,
  },
  {
    breaks: 'DER of any size is decoded',
    text: 'if (bytes.length > maxInputBytes) {',
    becomes: 'if (false) {',
    suite: requests,
  },
  {
    breaks: 'PEM of any size is read',
    text: 'if (bytes.length > maxBytes) refuse(what, `is larger than ${maxBytes} bytes`);',
    becomes: '',
    suite: requests,
  },
  {
    breaks: 'truncated DER is read as far as it goes',
    text: 'const options = { strict: true, parseAllBytes: true, decodeBitStrings: false, maxDepth };\n  try {\n    // decodeBitStrings would decode an ECDSA signature to a tree\n    const element = asn1.fromDer(text, options);\n    if (ber || asn1.toDer(element).getBytes() === text) return element;',
    becomes:
      'const options = { strict: false, parseAllBytes: true, decodeBitStrings: false, maxDepth };\n  try {\n    return asn1.fromDer(text, options);',
    suite: requests,
  },
  {
    breaks: 'half of a certificate counts as one with bytes behind it',
    text: "if (length === undefined) throw new ServiceError('InvalidArgs', 'it is not whole');",
    becomes: '',
    suite: requests,
  },
  {
    breaks: 'values in each other exhaust the stack',
    text: 'decodeBitStrings: false, maxDepth };',
    becomes: 'decodeBitStrings: false, maxDepth: 1e9 };',
    suite: requests,
  },
  {
    breaks: 'indefinite lengths in each other exhaust the stack',
    text: 'if (depth >= maxDepth) return undefined;',
    becomes: '',
    suite: requests,
  },
  {
    breaks: 'the first of two requests in one PEM is certified',
    text: 'if (block === undefined || more !== undefined) {',
    becomes: 'if (block === undefined) {',
    suite: requests,
  },
  {
    breaks: 'private keys in a PEM of certificates are ignored',
    text: "if (label.includes('PRIVATE KEY')) refuse(here, 'holds a private key');",
    becomes: '',
    suite: requests,
  },
  {
    breaks: 'a chain may have a stranger in it',
    text: 'if (all.every((one) => one.basicConstraints.ca || isSelfIssued(one))) return all;',
    becomes: 'return all;',
    suite: requests,
  },
  {
    breaks: 'a chain may have two leaves',
    text: 'if (leaf === undefined || another !== undefined) return undefined;',
    becomes: 'if (leaf === undefined) return undefined;',
    suite: requests,
  },
  {
    breaks: 'a chain stays in the wrong order',
    text: 'return [...good.chain, ...good.others];',
    becomes: 'return certificates;',
    suite: requests,
  },
  {
    breaks: 'HTML of an EST server is decoded as certificates',
    text: "if (isHtml(response)) throw new ServiceError('Unavailable', `${what} is HTML`);",
    becomes: '',
    suite: answers,
  },
  {
    breaks: 'half of a response is taken for a whole one',
    text: '(error: unknown) => reject(incomplete(error)),',
    becomes: '() => resolve({ ...toResponse(incoming, Buffer.alloc(0)), isCertificateWanted }),',
    suite: answers,
  },
  {
    breaks: 'an EST server that sends a byte a moment is listened to for longer than its timeout',
    text: 'timeoutMs: Math.max(1, deadline - performance.now()),',
    becomes: 'timeoutMs: 60_000,',
    suite: answers,
  },
  {
    breaks: 'every self-signed certificate of an answer is a trust anchor',
    text: 'if (this.#anchors.has(last.fingerprint)) {',
    becomes: 'if (this.#anchors.has(last.fingerprint) || last.subjectDer.equals(last.issuerDer)) {',
    suite: answers,
  },
  {
    breaks: 'a response of any size is read',
    text: '    if (size > maxBytes) {\n      throw new HttpsFailure(',
    becomes: '    if (false) {\n      throw new HttpsFailure(',
    suite: answers,
  },
];
