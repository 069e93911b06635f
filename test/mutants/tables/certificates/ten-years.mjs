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
  {
    breaks: 'certificates are renewed when they have expired',
    text: 'return since > now || since >= end ? due : Math.max(due, (since + end) / 2);',
    becomes: 'return since > now || since >= end ? due : end + 60_000;',
    suite: tenYears,
  },
  {
    breaks: 'certificates are renewed earlier than the rule and its jitter say',
    text: 'const early = drawOf(certificate) * jitter * life;',
    becomes: 'const early = drawOf(certificate) * 2 * jitter * life;',
    suite: tenYears,
  },
  {
    breaks:
      'attempts have no jitter, so that devices that were switched on at once come back at once',
    text: 'return Math.round(clamp(least + random * Math.max(0, bound - least)));',
    becomes: 'return Math.round(clamp(least + Math.max(0, bound - least)));',
    suite: tenYears,
  },
  {
    breaks: 'an order is repeated before the issuer wants it, which has not decided',
    text: "const asked = 'retryAfterS' in setback ? requestedMs(setback.retryAfterS) : undefined;",
    becomes: 'const asked = undefined;',
    suite: tenYears,
  },
  {
    breaks: 'an attempt is repeated within a minute',
    text: 'const floor = Math.min(minute, life / 20);',
    becomes: 'const floor = Math.min(second, life / 20);',
    suite: tenYears,
  },
  {
    breaks: 'an expired certificate is asked for once a day',
    text: 'return remaining > 0 ? Math.min(remaining / 4, lifeOf(current) / 4) : hour;',
    becomes: 'return remaining > 0 ? Math.min(remaining / 4, lifeOf(current) / 4) : longestMs;',
    suite: tenYears,
  },
  {
    breaks: 'a renewal by a CA that is about to end is stuck for good',
    text: 'if (order.isStuck && order.nextAttempt === 0) return',
    becomes: 'if (order.isStuck) return',
    suite: tenYears,
  },
  {
    breaks: 'a renewal by a CA that is about to end is repeated after its end',
    text: 'return Math.round(Math.max((remaining * (1 + random)) / 3, Math.min(hour, life / 20)));',
    becomes: 'return Math.round(remaining * (1 + random));',
    suite: tenYears,
  },
  {
    breaks: 'a renewal by a CA that is about to end is repeated as one that was refused',
    text: "if (setback.kind === 'short' && current !== undefined) {",
    becomes: "if (setback.kind === 'short' && current === undefined) {",
    suite: tenYears,
  },
  {
    breaks: 'a certificate lives longer than its CA',
    text: 'const notAfter = Math.min(now.getTime() + lifetimeMs, issuer.notAfter.getTime());',
    becomes: 'const notAfter = now.getTime() + lifetimeMs;',
    suite: tenYears,
  },
  {
    breaks: 'the delay of a stuck renewal is shown as none',
    text: 'if (order === undefined || order.nextAttempt === 0 || order.attempts === 0) return undefined;',
    becomes: 'if (order === undefined || order.isStuck || order.attempts === 0) return undefined;',
    suite: 'component/certificates/renewal/executor',
  },
  {
    breaks: 'when a stuck renewal is repeated is not in the journal',
    text: '...(nextAttempt !== 0 && { nextAttempt:',
    becomes: '...(!isFinal && { nextAttempt:',
    suite: 'component/certificates/renewal/executor',
  },
  {
    breaks: 'when a stuck renewal is repeated is not shown',
    text: 'text: `stuck, ${expiry}${because}${again}`,',
    becomes: 'text: `stuck, ${expiry}${because}`,',
    suite: 'unit/cli/certificates/concern',
  },
];
