export default [
  {
    breaks: 'modules do not trust the CA before a renewal any more',
    text: 'return parts.issuingCas?.complete(pem) ?? pem;',
    becomes: 'return pem;',
    suite: 'integration/modules/api/renewed-ca',
  },
  {
    breaks: 'the CA of a certificate is not recorded',
    text: '  await issuingCas?.note(issued.chainPem, () => trustBundle.read(config.trustedCas, call));\n',
    becomes: '',
    suite: 'integration/modules/api/renewed-ca',
  },
  {
    breaks: 'modules trust a former CA for ever',
    text: 'const needed = [...this.#cas.values()].filter(({ until }) => until > now);',
    becomes: 'const needed = [...this.#cas.values()];',
    suite: 'component/modules/api/workload/issuing-cas',
  },
  {
    breaks: 'modules trust a CA that was never in the trust bundle',
    text: 'const anchors = trusted.filter((anchor) =>',
    becomes: 'const anchors = [...issuers, ...trusted].filter((anchor) =>',
    suite: 'component/modules/api/workload/issuing-cas',
  },
  {
    breaks: 'a damaged list of former CAs is replaced',
    text: '    if (!this.#isWritable) return;\n',
    becomes: '',
    suite: 'component/modules/api/workload/issuing-cas',
  },
  {
    breaks: 'a trust bundle that was replaced is returned for another second',
    text: 'readonly #bundles = new SharedReads<string>({ sharedMs: 0 });',
    becomes: 'readonly #bundles = new SharedReads<string>();',
    suite: 'component/modules/api/workload/workload-backend',
  },
];
