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
];
