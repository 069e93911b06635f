export default [
  {
    breaks: 'a file system that is mounted twice is a disk twice',
    text: 'if (before === undefined || mount.point.length < before.point.length) {\n      byDevice.set(mount.device, mount);',
    becomes:
      'if (before === undefined || mount.point !== before.point) {\n      byDevice.set(mount.device + mount.point, mount);',
    suite: 'unit/modules/resources/disks',
  },
  {
    breaks: 'a disk of another machine is asked for its size',
    text: "return point === '/' || fileSystem === 'zfs' || source.startsWith('/dev/');",
    becomes:
      "return source !== '' && !['proc', 'tmpfs', 'overlay'].includes(fileSystem) || point === '/';",
    suite: 'unit/modules/resources/disks',
  },
  {
    breaks: 'a disk that does not respond occupies one more thread with each call',
    text: 'this.#asked.add(point);',
    becomes: 'void point;',
    suite: 'unit/modules/resources/disks',
  },
  {
    breaks: 'modules are asked about one after the other',
    text: 'await Promise.all(names.map(read));',
    becomes: 'for (const name of names) await read(name);',
    suite: 'unit/modules/resources/container-stats',
  },
  {
    breaks: 'an engine that hangs holds the reply',
    text: 'const { stats } = await this.#sample(names, limited.signal, signal);',
    becomes: 'const { stats } = await this.#sample(names, signal, signal);',
    suite: 'unit/modules/resources/container-stats',
  },
  {
    breaks: 'processor time is compared with that of a former container',
    text: "if (before === undefined || before['id'] !== stats['id']) return stats;",
    becomes: 'if (before === undefined) return stats;',
    suite: 'unit/modules/resources/container-stats',
  },
  {
    breaks: 'memory includes what the kernel would give back',
    text: "Math.max(0, numberIn(memory, 'usage') - inactive(objectIn(memory, 'stats')))",
    becomes: "Math.max(0, numberIn(memory, 'usage'))",
    suite: 'unit/modules/resources/container-stats',
  },
  {
    breaks: 'docker_stats is an array instead of its text',
    text: 'docker_stats: JSON.stringify([...resources.modules.values()]),',
    becomes: 'docker_stats: [...resources.modules.values()],',
    suite: 'unit/modules/resources/resources',
  },
  {
    breaks: 'every caller of GetResources has the engine asked',
    text: "reads.get('', (read) => reader.read(modules, read), signal);",
    becomes:
      "signal.aborted ? reads.get('', () => reader.read(modules, signal)) : reader.read(modules, signal);",
    suite: 'integration/modules/api/floods',
  },
  {
    breaks: 'disks that do not respond occupy all threads of the process',
    text: ' || this.#asked.size >= maxHanging) return undefined;',
    becomes: ') return undefined;',
    suite: 'unit/modules/resources/disks',
  },
  {
    breaks: 'a caller of GetResources that leaves spoils the figures of the next one',
    text: '    caller.throwIfAborted();\n',
    becomes: '',
    suite: 'unit/modules/resources/container-stats',
  },
  {
    breaks: 'a support bundle has the passwords of command lines',
    text: "const isValue = typeof before === 'string' && isSecretOption(before);",
    becomes: 'const isValue = false;',
    suite: 'unit/modules/support-bundle/redaction',
  },
  {
    breaks: 'a support bundle has secrets that the journal has not',
    text: 'return messageWithoutSecrets(known);',
    becomes: 'return known;',
    suite: 'unit/modules/support-bundle/redaction',
  },
  {
    breaks: 'each disk that is read leaves a timer',
    text: '    return await Promise.race([promise, late]);\n  } finally {\n    clearTimeout(timer);\n  }',
    becomes: '    return await Promise.race([promise, late]);\n  } finally {\n    void timer;\n  }',
    suite: 'unit/modules/timers',
  },
  {
    breaks: 'the share of idle time is reported as that of use',
    text: '(1 - (now.idle - before.idle) / total) * 100',
    becomes: '((now.idle - before.idle) / total) * 100',
    suite: 'unit/modules/resources/resources',
  },
  {
    breaks: 'one long argument of an image has a support bundle take minutes',
    text: "return text.startsWith('-') && !text.includes('=') && secretOption.test(text);",
    becomes: 'return /^-[^=]*(?:passw|pwd|secret|token|credential|key|auth)[^=]*$/i.test(text);',
    suite: 'unit/modules/support-bundle/redaction',
  },
  {
    breaks: 'any user has the runtime take minutes for one name of many dots',
    text: "while (name[end - 1] === '.') end--;",
    becomes: "end = name.replace(/\\.+$/, '').length;",
    suite: 'unit/modules/docker/confinement/host-name',
  },
  {
    breaks: 'a name of a host may have any length',
    text: 'if (text.length > maxLength) return false;',
    becomes: '',
    suite: 'unit/modules/docker/confinement/host-name',
  },
  {
    breaks: 'modules use nothing on an engine that does not say whose a sample is',
    text: "'name' in stats ? stats : { ...(await ownerOf(container)), ...stats }",
    becomes: 'stats',
    suite: 'integration/modules/engine/connection/stats',
  },
];
