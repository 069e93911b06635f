const suite = 'component/certificates/waiting-successor';

export default [
  {
    breaks: 'LastError does not state that the clock is behind what was issued',
    text: 'if (begins - now <= aheadMs) return',
    becomes: 'if (begins - now <= Number.POSITIVE_INFINITY) return',
    suite: 'component/certificates/renewal/executor',
  },
  {
    breaks: 'the clock is behind when that of the issuer is some minutes ahead',
    text: 'const aheadMs = 600_000;',
    becomes: 'const aheadMs = 60_000;',
    suite: 'component/certificates/renewal/executor',
  },
  {
    breaks: 'Enroll orders again while what was issued is not valid yet',
    text: 'const end = (isWaiting ? successor : entry)?.chain[0]?.notAfter;',
    becomes: 'const end = entry?.chain[0]?.notAfter;',
    suite,
  },
  {
    breaks: 'GetCertificate does not state why a certificate that was issued is not current',
    text: "const reason = waitReason || (entry.enrolment?.order?.reason ?? '');",
    becomes: "const reason = entry.enrolment?.order?.reason ?? '';",
    suite,
  },
  {
    breaks: 'a command has users repeat what waits for the clock',
    text: "if (nextAttempt === 0 && operation === '' && !isStuck) return",
    becomes: "if (nextAttempt === 0 && operation === '' && !isStuck && id === '') return",
    suite: 'unit/cli/certificates/operation',
  },
  {
    breaks: 'a certificate that waits for the clock is requested again',
    text: "advice: nextAttempt === 0 ? clock : waiting(id, 'request'),",
    becomes: "advice: waiting(id, 'request'),",
    suite: 'unit/cli/certificates/concern',
  },
  {
    breaks: 'the record of a renewal that is stuck has no MESSAGE_ID',
    text: '{ ...fields, messageId: stuckMessageId }',
    becomes: 'fields',
    suite: 'component/certificates/renewal/executor',
  },
];
