/** Requests of modules that are held while a service cannot be reached. */
export default [
  {
    breaks: 'the number of requests held during an outage is unlimited',
    text: 'if (this.#held >= most || this.#bytes + bytes > maxBytes) {',
    becomes: 'if (this.#bytes + bytes > maxBytes) {',
    suite: 'unit/modules/api/workload/outage',
  },
  {
    breaks: 'the memory of held requests is unlimited',
    text: 'if (this.#held >= most || this.#bytes + bytes > maxBytes) {',
    becomes: 'if (this.#held >= most) {',
    suite: 'unit/modules/api/workload/outage',
  },
  {
    breaks: 'a request is held for less than its time, and attempted once more',
    text: 'while (performance.now() < time);',
    becomes: 'while (false);',
    suite: 'unit/modules/api/workload/outage',
  },
];
