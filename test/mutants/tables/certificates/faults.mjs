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
];
