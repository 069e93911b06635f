const tenYears = 'component/certificates/renewal/ten-years';

export default [
  {
    breaks: 'a renewal that a wrong clock began goes on when the clock is right',
    text: "    if (isSuperfluous(order, record, rule, circumstances)) return { kind: 'abandon' };\n",
    becomes: '',
    suite: tenYears,
  },
  {
    breaks: 'an attempt is followed by the next one when the certificate has expired',
    text: 'return remaining > 0 ? Math.min(remaining / 4, lifeOf(current) / 4) : hour;',
    becomes: 'return remaining > 0 ? remaining * 2 : hour;',
    suite: tenYears,
  },
  {
    breaks: 'a clock that was set back prolongs the delay of an attempt',
    text: 'return now < since - skewMs ? now : nextAttempt;',
    becomes: 'return nextAttempt;',
    suite: tenYears,
  },
];
