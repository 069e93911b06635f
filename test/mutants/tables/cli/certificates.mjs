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
];
