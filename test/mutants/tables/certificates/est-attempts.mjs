export default [
  {
    breaks: 'the Retry-After of a busy EST server is ignored',
    text: 'if (retryAfterS !== undefined) return new Rejection(reason, { retryAfterS });',
    becomes: '',
    suite: 'integration/est/enrol',
  },
  {
    breaks: 'a certificate whose key is lost ends the attempt',
    text: "if (code === keyNotFound) return 'lost';",
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
  {
    breaks: 'a password of the credentials of the unit is not found',
    text: 'if (credentials !== undefined) return join(credentials, name);',
    becomes: "if (credentials !== undefined) return join('/run', name);",
    suite: 'integration/certificates/est-bootstrap',
  },
  {
    breaks: 'the bootstrap certificate of a rule is not used',
    text: 'bootstrap: bootstrap ?? settings.bootstrap,',
    becomes: 'bootstrap: settings.bootstrap,',
    suite: 'integration/certificates/est-bootstrap',
  },
  {
    breaks: 'the service has no client certificate but the one that is renewed',
    text: "return keyId === '' ? undefined : { chain: entry.chain, keyId };",
    becomes:
      "return keyId === '' || via.requestId !== '' ? undefined : { chain: entry.chain, keyId };",
    suite: 'integration/certificates/est-bootstrap',
  },
  {
    breaks: 'an order that is bound to its connection repeats its request without a tls-unique',
    text: 'if (mark !== boundMark) return { pendingUrl,',
    becomes: 'if (mark !== urls[1]) return { pendingUrl,',
    suite: 'integration/certificates/est-bootstrap',
  },
  {
    breaks: 'the words of an EST server that answers 401 without a challenge are lost',
    text: "if (text !== '') this.#texts.add(JSON.stringify(text));",
    becomes: '',
    suite: 'integration/est/tls-unique',
  },
  {
    breaks:
      'a refusal of a request with a tls-unique is taken for the wish for a certificate alone',
    text: "if (typeof csr === 'function') this.#isBoundRefused = true;",
    becomes: '',
    suite: 'integration/est/tls-unique',
  },
  {
    breaks: 'no other identity is offered after the refusal of a tls-unique',
    text: '        this.#noteRefusal(response, request);\n        this.#refused.push(identity.name);\n        return undefined;',
    becomes:
      '        this.#noteRefusal(response, request);\n        this.#refused.push(identity.name);\n        throw this.#wantsAnother();',
    suite: 'integration/est/tls-unique',
  },
  {
    breaks: 'the record of an order with EST keeps a CSR',
    text: "if (rule.method === 'est') return { spki, csr: undefined, template: info };",
    becomes: '',
    suite: 'integration/certificates/est-bootstrap',
  },
  {
    breaks: 'the template of an order is lost by a restart',
    text: "    template: bytesIn(fields, 'template'),",
    becomes: '    template: undefined,',
    suite: 'component/certificates/storage',
  },
  {
    breaks: 'an order of a former version is not submitted any more',
    text: 'const request = order?.template ?? order?.csr;',
    becomes: 'const request = order?.template ?? Buffer.alloc(0);',
    suite: 'component/certificates/renewal/executor',
  },
  {
    breaks: 'a pending order with a damaged template is never ordered anew',
    text: 'try {\n    return requestInfoOf(request);\n  } catch (error) {',
    becomes: 'try {\n    return requestInfoOf(request);\n  } catch (error) {\n    throw error;',
    suite: 'integration/est/tls-unique',
  },
  {
    breaks: 'what the request lacks is not named when an order is refused after it was pending',
    text: 'unmet: () => pending.unmet });',
    becomes: 'unmet: () => [] });',
    suite: 'integration/est/pending',
  },
  {
    breaks: 'what the request lacks is lost when the order is pending again',
    text: 'formatCookie(url, request, unmet()), retryAfterS',
    becomes: 'formatCookie(url, request, pendingUrl ? [] : unmet()), retryAfterS',
    suite: 'integration/est/pending',
  },
];
