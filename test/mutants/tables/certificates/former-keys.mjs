const formerKeys = 'component/certificates/renewal/former-keys';
const watch = 'component/cli/certificates/watch';

export default [
  {
    breaks: 'the key of an expired certificate counts as dropped early',
    text: 'keyIdsOf(before?.previous.filter((one) => !isOver(one, now)))',
    becomes: 'keyIdsOf(before?.previous.filter(() => now > 0))',
    suite: 'component/certificates/renewal/former-certificates',
  },
  {
    breaks: 'the third renewal within the grace period deletes the key of the first certificate',
    text: 'export const maxFormer = 8;',
    becomes: 'export const maxFormer = 2;',
    suite: formerKeys,
  },
  {
    breaks: 'the keys of former certificates are kept without a bound',
    text: 'previous: [...former, ...kept].slice(0, max),',
    becomes: 'previous: [...former, ...kept],',
    suite: formerKeys,
  },
  {
    breaks: 'all former certificates but the last are dropped by the next renewal',
    text: 'previous: [...former, ...kept].slice(0, max),',
    becomes: 'previous: former,',
    suite: 'component/certificates/renewal/former-certificates',
  },
  {
    breaks: 'all former certificates are dropped when the first grace period ends',
    text: '.filter(({ until }) => now < until)\n',
    becomes: '.filter(() => false)\n',
    suite: 'component/certificates/renewal/former-certificates',
  },
  {
    breaks: 'a key that is deleted before the end of its grace period is not logged',
    text: 'return before?.ownKeys.filter((one) => valid.includes(one) && !kept.has(one)) ?? [];',
    becomes: 'return before?.ownKeys.filter((one) => valid.includes(one) && kept.has(one)) ?? [];',
    suite: formerKeys,
  },
  {
    breaks: 'the key of a former certificate is deleted when that is imported again',
    text: '    ...previous.map((former) => ({ keyId: former.keyId, spki: former.chain[0]?.spki })),\n',
    becomes: '',
    suite: formerKeys,
  },
  {
    breaks: 'a server that is never reloaded is not shown as long as swaps follow each other',
    text: 'const swapped = used ? used.mtimeMs : stats.mtimeMs;',
    becomes: 'const swapped = stats.mtimeMs;',
    suite: watch,
  },
  {
    breaks: 'a server whose version is removed already is not shown',
    text: 'const since = isGone ? (await lstat(record)).mtimeMs : swapped;',
    becomes: 'const since = isGone ? now.getTime() : swapped;',
    suite: watch,
  },
  {
    breaks: 'a clock that was ahead keeps the key of a former certificate as long',
    text: 'return now < until && until - now <= graceMs + skewMs;',
    becomes: 'return now < until;',
    suite: 'component/certificates/renewal/former-keys',
  },
  {
    breaks: 'an order that waits requests what its rule said before',
    text: "if (order.settings !== rule.settings) return { kind: 'order' };",
    becomes: '',
    suite: 'component/certificates/renewal/executor',
  },
  {
    breaks: 'a renewal that lives as long as its predecessor is repeated without end',
    text: '(gain === 0 && order.isRequested)',
    becomes: 'gain === 0',
    suite: 'unit/certificates/renewal/issued-problem',
  },
  {
    breaks: 'an imported certificate that lives longer cannot be replaced by Enroll',
    text: "entry.enrolment?.method === 'none' ? undefined : entry.chain[0]",
    becomes: 'entry.chain[0]',
    suite: 'unit/certificates/renewal/issued-problem',
  },
];
