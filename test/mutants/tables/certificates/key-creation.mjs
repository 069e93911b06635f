const suite = 'component/certificates/keys/keys-client';

export default [
  {
    breaks: 'the keys of many orders are made at once, and none of them in time',
    text: 'await this.#creation.run(create, via.signal);',
    becomes: 'await create();',
    suite,
  },
  {
    breaks: 'a key that a token takes a minute for is given up',
    text: '{ ...via, timeoutMs: creationTimeoutMs },',
    becomes: 'via,',
    suite,
  },
];
