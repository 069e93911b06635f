export default [
  {
    breaks: 'the Retry-After of a busy EST server is ignored',
    text: 'if (retryAfterS !== undefined) return new Rejection(reason, { retryAfterS });',
    becomes: '',
    suite: 'integration/est/enrol',
  },
  {
    breaks: 'a certificate whose key is lost ends the attempt',
    text: "if (failure.kind === 'client-certificate' && failure.code === keyNotFound) return 'lost';",
    becomes: '',
    suite: 'integration/est/identities',
  },
  {
    breaks: 'a device whose keys are all lost reaches no EST server any more',
    text: 'return identities[this.#at] ?? (isAlone ? anonymous : undefined);',
    becomes: 'return identities[this.#at];',
    suite: 'integration/est/identities',
  },
  {
    breaks: 'simplereenroll is used where no certificate was asked for',
    text: 'const presented = this.#isCertificateWanted ? identity.certificate : undefined;',
    becomes: 'const presented = identity.certificate;',
    suite: 'integration/est/identities',
  },
  {
    breaks: 'every TLS server seems to ask for a client certificate',
    text: 'return socket.getSharedSigalgs().length > 0;',
    becomes: 'return true;',
    suite: 'integration/est/identities',
  },
  {
    breaks: 'a CA that writes names in its own way makes every renewal a new enrolment',
    text: 'if (ordered !== undefined) return ordered === digestOfNames(rule);',
    becomes: '',
    suite: 'integration/certificates/est',
  },
  {
    breaks: 'changed names of a rule are not ordered',
    text: 'if (ordered !== undefined) return ordered === digestOfNames(rule);',
    becomes: 'if (ordered !== undefined) return true;',
    suite: 'integration/certificates/est',
  },
  {
    breaks: 'the names that a certificate was ordered with are forgotten',
    text: "...(typeof names === 'string' && { names }),",
    becomes: '',
    suite: 'component/certificates/storage',
  },
];
