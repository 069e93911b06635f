/** What an EST client proves itself with. */
const suite = 'integration/certificates/est-identity';

export default [
  {
    breaks: 'a client certificate that is refused by the alert 47 ends the attempt',
    text: "if (alert === illegalParameter && certificate !== undefined) return 'refused';",
    becomes: '',
    suite: 'component/certificates/est/identities',
  },
  {
    breaks: 'an EST server is reached without its proxy',
    text: '      ...(proxy !== undefined && { proxy }),\n      requestId: via.requestId,\n      isNewConnection',
    becomes: '      requestId: via.requestId,\n      isNewConnection',
    suite,
  },
  {
    breaks:
      'a renewal presents the certificate that is renewed in place of the identity of its issuer',
    text: 'const first = settings.identity === undefined ? renewed : await find(settings.identity);',
    becomes: 'const first = renewed ?? (await find(settings.identity));',
    suite,
  },
  {
    breaks: 'a key without a grant ends the attempt',
    text: "return keyDenied.has(code) ? 'denied' : 'other';",
    becomes: "return 'other';",
    suite,
  },
  {
    breaks: 'a device whose keys may not be used enrolls as one that has none',
    text: 'this.#lost.length === this.#at',
    becomes: 'this.#lost.length + this.#denied.length === this.#at',
    suite,
  },
  {
    breaks: 'an identity that is passed over is not in the log',
    text: '    this.#options.onUnusable(unusable);\n',
    becomes: '',
    suite,
  },
  {
    breaks: 'a refusal of the password does not name the key that may not be used',
    text: 'throw error instanceof Rejection ? session.withUnusable(error) : error;',
    becomes: 'throw error;',
    suite,
  },
  {
    breaks: 'all users may change the password of an EST server',
    text: '(stats.mode & 0o006) !== 0',
    becomes: '(stats.mode & 0o004) !== 0',
    suite: 'component/certificates/est/password-file',
  },
  {
    breaks: 'the password of a file with CRLF ends in CR',
    text: "bytesRead).replace(/\\r?\\n$/, '')",
    becomes: "bytesRead).replace(/\\n$/, '')",
    suite: 'component/certificates/est/password-file',
  },
  {
    breaks: 'an empty password is sent',
    text: "if (password === '') refuse('is empty');",
    becomes: '',
    suite: 'component/certificates/est/password-file',
  },
  {
    breaks: 'a pipe in place of a password file is waited for',
    text: 'constants.O_RDONLY | constants.O_NONBLOCK);\n  const stats = await file.stat();\n  const refuse',
    becomes: 'constants.O_RDONLY);\n  const stats = await file.stat();\n  const refuse',
    suite: 'component/certificates/est/password-file',
  },
  {
    breaks: 'an EST server whose URL has a path is reached without its label',
    text: '[prefix, label, operation]',
    becomes: "[prefix, base.pathname === '/' ? label : '', operation]",
    suite: 'unit/certificates/est/est-urls',
  },
  {
    breaks: 'setting the clock ends a request to an EST server',
    text: 'timeoutMs: Math.max(1, deadline - performance.now()),',
    becomes: 'timeoutMs: Math.max(1, deadline + performance.timeOrigin - Date.now()),',
    suite: 'integration/est/bad-input',
  },
  {
    breaks: 'each redirect of an EST server has the whole time again',
    text: 'timeoutMs: Math.max(1, deadline - performance.now()),',
    becomes: 'timeoutMs: this.#options.timeoutMs,',
    suite: 'integration/est/bad-input',
  },
  {
    breaks: 'the date until which a pending order waits is compared with the clock of the device',
    text: "headers['date']);\n      return { kind: 'pending'",
    becomes: "undefined);\n      return { kind: 'pending'",
    suite: 'integration/est/pending',
  },
  {
    breaks: 'the roots of the system are trusted beside trusted_ca',
    text: '? encodeCertificatesPem(await this.trusted())\n',
    becomes: "? encodeCertificatesPem(await this.trusted()) + rootCertificates.join('\\n')\n",
    suite: 'component/certificates/est/trust/tls-roots',
  },
  {
    breaks: 'a NewWithOld whose signature can be forged vouches for a root',
    text: 'hasSoundSignature(one) &&\n',
    becomes: '\n',
    suite: 'component/certificates/est/trust/anchors',
  },
  {
    breaks: 'the CA above an unknown chain is not named',
    text: "  'UNABLE_TO_GET_ISSUER_CERT_LOCALLY',\n",
    becomes: '',
    suite: 'integration/est/trust',
  },
  {
    breaks: 'the CA above one that is trusted without its root is not named',
    text: "  'UNABLE_TO_GET_ISSUER_CERT',\n",
    becomes: '',
    suite: 'integration/est/trust',
  },
  {
    breaks: 'a self-signed certificate of an EST server is not named',
    text: "  'DEPTH_ZERO_SELF_SIGNED_CERT',\n",
    becomes: '',
    suite: 'integration/est/trust',
  },
];
