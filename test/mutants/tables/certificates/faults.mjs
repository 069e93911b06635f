/** Certificates of issuers of the device, and what goes wrong around an order. */
export default [
  {
    breaks: 'a self-signed certificate need not be signed with its own key',
    text: 'if (chain.length === 1 && anchor !== undefined && !isSelfSigned(anchor)) {',
    becomes: 'if (false) {',
    suite: 'component/certificates/judged-issuer',
  },
  {
    breaks: 'what a CA of this device issues is not judged',
    text: "return judgement.kind === 'refused' ? judgement.reason : undefined;",
    becomes: 'return undefined;',
    suite: 'component/certificates/judged-issuer',
  },
  {
    breaks: 'only self-signed certificates are judged',
    text: "method === 'self_signed' || method === 'local_ca' ?",
    becomes: "method === 'self_signed' ?",
    suite: 'component/certificates/judged-issuer',
  },
  {
    breaks: 'the reason why nothing is renewed is not shown',
    text: "LastError: entry.damage ?? (waitReason || (entry.enrolment?.order?.reason ?? '')),",
    becomes: "LastError: entry.damage ?? entry.enrolment?.order?.reason ?? '',",
    suite: 'component/certificates/wait-reason',
  },
  {
    breaks: 'Health shows a clock once for each certificate',
    text: 'if (entry?.preloaded === false) this.#put(entry, at);',
    becomes: 'if (entry?.preloaded === false) this.publish(entry);',
    suite: 'component/certificates/wait-reason',
  },
  {
    breaks: 'a deleted certificate stays in Health',
    text: '    this.#waiting.delete(id);\n    this.#options.objects.remove(id);',
    becomes: '    this.#options.objects.remove(id);',
    suite: 'component/certificates/wait-reason',
  },
  {
    breaks: 'the clock is never a reason',
    text: "return step.kind === 'wait' ? (step.reason ?? '') : '';",
    becomes: "return '';",
    suite: 'component/certificates/renewal/executor',
  },
  {
    breaks: 'the chain of the issuer is forgotten with the process',
    text: '    issuer_chain: order.issuerChain,\n',
    becomes: '',
    suite: 'component/certificates/renewal/issuer-chain',
  },
  {
    breaks: 'only the CA itself counts, not those above it',
    text: "chain.map(({ fingerprint }) => fingerprint).join('\\n')",
    becomes: "chain[0]?.fingerprint ?? ''",
    suite: 'component/certificates/renewal/issuer-chain',
  },
  {
    breaks: 'a clock that was never set is a signal a minute for each certificate',
    text: 'return new Date(time).toISOString().slice(0, 10);',
    becomes: 'return new Date(time).toISOString();',
    suite: 'component/certificates/renewal/executor',
  },
  {
    breaks: 'the service does not judge what its own CAs issue',
    text: 'issuerOf: (rule) => judgedIssuer(service.issuerOf(rule), rule),',
    becomes: 'issuerOf: (rule) => service.issuerOf(rule),',
    suite: 'integration/certificates/renewal/faults',
  },
  {
    breaks: 'an order for another key forgets the one that it had, which is never deleted',
    text: 'const all = isNewKey && !ownKeys.includes(order.keyId) ? [...ownKeys, order.keyId] : ownKeys;',
    becomes: 'const all = isNewKey ? [order.keyId] : ownKeys;',
    suite: 'component/certificates/renewal/next-step',
  },
  {
    breaks: 'no certificate is deleted while the disk is full',
    text: 'const reserve = entry.enrolment?.isDeleted === true ? this.#disk : undefined;',
    becomes: 'const reserve = undefined;',
    suite: 'integration/certificates/renewal/faults',
  },
  {
    breaks: 'records of a second version are taken for newer ones by deletions',
    text: 'await reserve.write(file, content, options);',
    becomes: 'await reserve.write(file, content);',
    suite: 'integration/certificates/renewal/faults',
  },
  {
    breaks: 'a pending order is ordered with another key when it is asked for again',
    text: "return { kind: order.cookie === undefined ? 'submit' : 'poll' };",
    becomes: "return order.cookie === undefined ? { kind: 'submit' } : { kind: 'order' };",
    suite: 'integration/certificates/renewal/pending-faults',
  },
];
