const suite = 'unit/modules/supervisor/update/failed-output';

export default [
  {
    breaks: 'the output of an update that failed is lost with its container',
    text: '    await before?.(signal);\n',
    becomes: '',
    suite,
  },
  {
    breaks: 'the output of a container that a good one replaced is kept as that of a failed one',
    text: 'id === badId && other !== undefined',
    becomes: 'other !== undefined',
    suite,
  },
  {
    breaks: 'the output of an update stays when another one is tried',
    text: "if (step.kind === 'try') this.#state.failedOutput.clear();",
    becomes: '',
    suite,
  },
  {
    breaks: 'a removal fails when the output cannot be read',
    text: "      log.info('output of the update not kept', { module: name, error: describeError(error) });\n",
    becomes: '      throw error;\n',
    suite,
  },
  {
    breaks: 'the output of an update is read without a deadline of its own',
    text: 'JoinedSignal.within(this.#options.readMs ?? readMs, signal)',
    becomes: 'JoinedSignal.within(60_000, signal)',
    suite,
  },
  {
    breaks: 'more of the output of an update is kept than 4 KiB',
    text: '    if (bytes > mostBytes) break;\n',
    becomes: '',
    suite,
  },
  {
    breaks: 'the output of an update has control characters',
    text: "    .replace(unprintable, (character) => (character === '\\t' ? character : '?'));\n  return text",
    becomes: ';\n  return text',
    suite,
  },
  {
    breaks: 'the output of an update comes although its time is not asked for',
    text: '  const isAfter = since === undefined || time >= timeText(since);\n',
    becomes: '  const isAfter = true;\n',
    suite,
  },
];
