/** Calls beside steps of the service itself that change the same record. */
const suite = 'component/certificates/renewal/concurrent-calls';

export default [
  {
    breaks: 'a call fails when a step changes the record while its key is chosen',
    text: 'const maxTries = 20;',
    becomes: 'const maxTries = 1;',
    suite,
  },
  {
    breaks: 'a call that joins a renewal that has just succeeded orders a second certificate',
    text: 'if (isJoined && executor.hasIssued(id) && !hasOrder) return undefined;',
    becomes: '',
    suite,
  },
  {
    breaks: 'Enroll orders a certificate although there is one by then',
    text: "if (verb === 'Enroll' && isEnrolled(id, args)) return undefined;",
    becomes: '',
    suite,
  },
  {
    breaks: 'a certificate is dropped, and ordered again, when a call joins while it is issued',
    text: 'if (!isSameOrder(current, order)) return undefined;',
    becomes: 'if (current !== entry) return undefined;',
    suite,
  },
  {
    breaks: 'a call that joins a step that fails gets the failure of that',
    text: 'if (records.get(id) === entry && operation.persisted === persisted) return entry;',
    becomes: 'return entry;',
    suite,
  },
  {
    breaks: 'a call after a renewal is joined to that',
    text: '      operation.end();\n      const order',
    becomes: '      const order',
    suite,
  },
  {
    breaks:
      'an order, with its cookie, is dropped when the step that submits it gives way to a call',
    text: 'if (operation.hasYielded) return false;',
    becomes: '',
    suite,
  },
  {
    breaks: 'an order with the same key does for a call that wants a new one',
    text: 'settings === rule.settings && isKeySuitable(entry, isNewKey)) {',
    becomes: 'settings === rule.settings) {',
    suite,
  },
  {
    breaks: 'an order that is joined is not for the caller',
    text: 'withOrder(hastened(record, now), (order) => ({ ...order, isRequested: true }));',
    becomes: 'hastened(record, now);',
    suite,
  },
  {
    breaks: 'Enroll orders a second certificate while the first is not valid yet',
    text: 'const isWaiting = successor?.wasCurrent === false;',
    becomes: 'const isWaiting = false;',
    suite: 'component/certificates/renewal/enrolled',
  },
  {
    breaks: 'a search for a key reads those after it',
    text: 'if (byHalf.has(wanted)) break;',
    becomes: '',
    suite: 'component/certificates/keys/keys-client',
  },
  {
    breaks: 'the last of several keys with the same public half is found',
    text: 'if (!byHalf.has(name)) byHalf.set(name, id);',
    becomes: 'byHalf.set(name, id);',
    suite: 'component/certificates/keys/keys-client',
  },
  {
    breaks: 'the keys of many orders are made at once, and none of them in time',
    text: 'await this.#creation.run(create, via.signal);',
    becomes: 'await create();',
    suite: 'component/certificates/keys/keys-client',
  },
  {
    breaks: 'a key that a token takes a minute for is given up',
    text: 'within(creationTimeoutMs, via),',
    becomes: 'via,',
    suite: 'component/certificates/keys/keys-client',
  },
  {
    breaks: 'a call that joins an operation is answered by what an earlier one has got',
    text: 'executor.forgetIssued(id);',
    becomes: '',
    suite,
  },
];
