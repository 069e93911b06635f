export default [
  {
    breaks: 'a change of the configuration closes the sockets of modules one after the other',
    text: 'const bound = await Promise.allSettled([...this.#sockets].map((socket) => socket.bind()));',
    becomes:
      'const bound = []; for (const socket of this.#sockets) bound.push(...(await Promise.allSettled([socket.bind()])));',
    suite: 'component/modules/api/module-socket',
  },
  {
    breaks: 'a module that ends while its socket is renamed has a socket again',
    text: 'if (this.#isClosed || name === this.#bound?.name) return;',
    becomes: 'if (name === this.#bound?.name) return;',
    suite: 'component/modules/api/module-socket',
  },
  {
    breaks: 'a module that is opened while sockets are renamed keeps the old name',
    text: '    this.#sockets.add(socket);\n    try {\n      await socket.bind();\n',
    becomes: '    try {\n      await socket.bind();\n      this.#sockets.add(socket);\n',
    suite: 'component/modules/api/module-socket',
  },
  {
    breaks: 'the end of a socket removes the file of the next one of the same module',
    text: 'change: (task) => this.#changes.run(module, task),',
    becomes: 'change: (task) => task(),',
    suite: 'component/modules/api/module-socket',
  },
  {
    breaks: 'a reload does not rename the sockets of modules',
    text: '    await this.#modules.rebindSockets();\n',
    becomes: '',
    suite: 'integration/modules/passed-sockets',
  },
  {
    breaks: 'a socket that cannot be bound leaves a file',
    text: '    void closed(listener);\n    await opened.close();\n',
    becomes: '    await opened.close();\n    void closed(listener);\n',
    suite: 'component/modules/api/http/listen',
  },
  {
    breaks: 'a socket that cannot be bound leaves a descriptor',
    text: '    void closed(listener);\n    await opened.close();\n',
    becomes: '    void closed(listener);\n',
    suite: 'component/modules/api/http/listen',
  },
  {
    breaks: 'a file stays at the path of a socket that does not listen',
    text: '    if (isRenamed) await rm(path, { force: true });\n',
    becomes: '',
    suite: 'component/modules/api/http/listen',
  },
  {
    breaks: 'a client of a socket that is not served waits for ever',
    text: '    // a client may have connected before the failure\n    await connections[Symbol.asyncDispose]();\n',
    becomes: '',
    suite: 'component/modules/api/http/listen',
  },
  {
    breaks: 'clients of a socket of a unit that listen does not name wait for ever',
    text: 'takeAll((name) => !isModuleSocketName(name))',
    becomes: 'takeAll(() => false)',
    suite: 'integration/modules/passed-sockets',
  },
  {
    breaks: 'a stored socket that no module needs stays in the store',
    text: 'takeAll((name) => !isModuleSocketName(name))',
    becomes: 'takeAll(() => true)',
    suite: 'integration/modules/passed-sockets',
  },
  {
    breaks: 'an obsolete socket of a module stays served',
    text: 'await before?.socket.remove();',
    becomes: '    void before;',
    suite: 'component/modules/api/module-socket',
  },
  {
    breaks: 'a module can use up the connections of the others',
    text: 'return largest !== newcomer && largest.shed();',
    becomes: 'return false;',
    suite: 'component/modules/api/http/shared-connections',
  },
  {
    breaks: 'the connections of all sockets together are not limited',
    text: 'if (this.size < this.#most) return true;',
    becomes: 'if (this.size >= 0) return true;',
    suite: 'component/modules/api/http/shared-connections',
  },
  {
    breaks: 'the module with the most connections gets further ones at the cost of its own',
    text: 'return largest !== newcomer && largest.shed();',
    becomes: 'return largest.shed();',
    suite: 'component/modules/api/http/shared-connections',
  },
  {
    breaks: 'idle connections make no room for those of other modules',
    text: 'if (waiting === undefined) return this.#closeLongestIdle();',
    becomes: 'if (waiting === undefined) return false;',
    suite: 'component/modules/api/http/shared-connections',
  },
];
