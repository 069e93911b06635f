/** The container engine: its events, its images and its containers. */
export default [
  {
    breaks: 'the end of a stream of events is an outage',
    text: 'if (signal.aborted || !isConnectionLoss(error)) {',
    becomes: 'if (true) {',
    suite: 'integration/modules/engine/events',
  },
  {
    breaks: 'what changes between two streams of events is lost',
    text: 'return changedNames(before, this.#known);',
    becomes: 'return changedNames(before, before);',
    suite: 'integration/modules/engine/events',
  },
];
