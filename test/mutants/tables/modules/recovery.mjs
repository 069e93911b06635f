/** What the runtime persists about containers, and how it puts right what others did to them. */
export default [
  {
    breaks: 'a container that could not be recorded is replaced by the next process',
    text: 'if (name !== undefined) await this.#withdraw(name);',
    becomes: '',
    suite: 'component/modules/docker/created-containers-disk',
  },
  {
    breaks: 'a record of containers that could not be written is never written again',
    text: 'await this.#retry(name);',
    becomes: '',
    suite: 'component/modules/docker/created-containers-disk',
  },
];
