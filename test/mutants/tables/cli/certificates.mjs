export default [
  {
    breaks: 'a subject moves the cursor of the terminal that lists certificates',
    text: "return text.replace(controls, '\\ufffd');",
    becomes: 'return text;',
    suite: 'integration/cli/certificates',
  },
  {
    breaks: 'a certificate that nothing renews is reported when it has expired',
    text: 'return notAfter / 1000 - now.getTime() < notice;',
    becomes: 'return notAfter / 1000 < now.getTime() - notice;',
    suite: 'unit/cli/certificates/concern',
  },
  {
    breaks: 'certificates are reported as expiring before their renewal is due',
    text: 'if (notAfter === 0 || renewAt / 1000 > now.getTime()) return false;',
    becomes: 'if (notAfter === 0) return false;',
    suite: 'unit/cli/certificates/concern',
  },
  {
    breaks: 'the list of certificates does not begin with what is wrong',
    text: 'return all.toSorted((one, other) => rankOf(one) - rankOf(other));',
    becomes: 'return all.toSorted((one, other) => rankOf(other) - rankOf(one));',
    suite: 'integration/cli/verbs',
  },
  {
    breaks: 'status does not name certificates that expire soon',
    text: '...(service === certificatesService && { concerns: concernsAbout(objects) }),',
    becomes: '',
    suite: 'integration/cli/certificates',
  },
  {
    breaks: 'a request that failed looks like one that is done',
    text: 'if (isNew({ before, after })) return undefined;',
    becomes: 'if (after.id !== undefined) return undefined;',
    suite: 'integration/cli/certificates',
  },
  {
    breaks: 'certificates import sends a private key to the service',
    text: "readCertificates(data, file === '-' ? 'standard input' : file);",
    becomes: '',
    suite: 'integration/cli/certificates',
  },
  {
    breaks: 'certificates export writes over a file',
    text: "{ flag: 'wx', mode }",
    becomes: "{ flag: 'w', mode }",
    suite: 'integration/cli/certificates',
  },
  {
    breaks: 'certificates renew --same-key makes a new key',
    text: '{ rotate_key: isNew === true }',
    becomes: '{ rotate_key: true }',
    suite: 'integration/cli/certificates',
  },
  {
    breaks: 'a request for a CA by mail is for other names than the rule has',
    text: 'names.length === 0 ? [] : [subjectAlternativeName(names, { critical: name.length === 0 })],',
    becomes: '[],',
    suite: 'integration/cli/certificates',
  },
  {
    breaks: 'the last attempt of a certificate that is issued is not known',
    text: 'order.attempts > 0 ? order.since : since;',
    becomes: 'order.attempts > 0 ? order.since : 0;',
    suite: 'integration/cli/certificates',
  },
];
