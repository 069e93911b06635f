export default [
  {
    breaks: 'a container of another module is identified by its id, and both rename it alternately',
    text: 'module === undefined ? Id === knownId : module === name;',
    becomes: 'Id === knownId || module === name;',
    suite: 'unit/modules/docker/engine/inspect',
  },
  {
    breaks: 'a module may join the network of the host',
    text: "const modes: readonly unknown[] = [undefined, '', 'default', 'bridge', 'none', network];",
    becomes:
      "const modes: readonly unknown[] = [undefined, '', 'default', 'bridge', 'none', 'host', network];",
    suite: 'unit/modules/docker/confinement/elevation-reasons',
  },
  {
    breaks: 'a host path that is not listed needs no elevation',
    text: 'const unlisted = hostPaths.filter((path) => !rules.allowedBinds.includes(path));',
    becomes:
      'const unlisted = hostPaths.filter((path) => !rules.allowedBinds.some((one) => path.startsWith(one)));',
    suite: 'unit/modules/docker/confinement/elevation-reasons',
  },
  {
    breaks: 'a list that unmasks a kernel path counts as the default',
    text: 'return always.every((path) => paths.includes(path)) && paths.every(isKnown);',
    becomes: 'return always.some((path) => paths.includes(path)) && paths.every(isKnown);',
    suite: 'unit/modules/docker/prepare',
  },
  {
    breaks: 'a host path below a directory that any user may write to is mounted',
    text: 'if (status.uid !== 0 || (status.mode & 0o022) !== 0) {',
    becomes: 'if (status.uid !== 0 || (status.mode & 0o020) !== 0) {',
    suite: 'unit/modules/docker/confinement/host-path',
  },
  {
    breaks: "another module's volume is mounted",
    text: 'if (labels.get(moduleLabel) === module) return undefined;',
    becomes: 'if (labels.has(moduleLabel)) return undefined;',
    suite: 'unit/modules/docker/confinement/mount-check',
  },
  {
    breaks: 'a host path below one that modules write to is mounted',
    text: 'const others = allowedBinds.filter((one) => one !== path);',
    becomes: 'const others = allowedBinds.filter((one) => one === path);',
    suite: 'unit/modules/docker/confinement/mount-check',
  },
  {
    breaks: 'the engine is given a host path in another spelling than was checked',
    text: "return { ...memberObject({ mount }, 'mount'), Source: normalHostPath(source) };",
    becomes: 'return mount;',
    suite: 'unit/modules/docker/confinement/mount-check',
  },
  {
    breaks: 'a host port below 1024 that is not listed may be published',
    text: 'const firstFree = 1024;',
    becomes: 'const firstFree = 1023;',
    suite: 'unit/modules/docker/confinement/elevation-reasons',
  },
  {
    breaks: 'the caller determines the owner label of a container',
    text: "    ...memberObject(source.createOptions, 'Labels'),\n    [ownerLabel]: owner,\n",
    becomes: "    [ownerLabel]: owner,\n    ...memberObject(source.createOptions, 'Labels'),\n",
    suite: 'unit/modules/docker/create-options/create-options-any',
  },
  {
    breaks: 'a module can replace its own sockets',
    text: '    Source: source.sockets.source,\n    Target,\n    ReadOnly: true,',
    becomes: '    Source: source.sockets.source,\n    Target,\n    ReadOnly: false,',
    suite: 'unit/modules/docker/container-body',
  },
  {
    breaks: 'the environment is published with the create options',
    text: '!/^(env|labels)$/iu.test(key);',
    becomes: '!/^(labels)$/iu.test(key);',
    suite: 'unit/modules/docker/container-body',
  },
  {
    breaks: 'unlisted create options such as sysctls are accepted',
    text: 'Sysctls: noMembers,',
    becomes: 'Sysctls: textMap,',
    suite: 'unit/modules/docker/create-options/create-options-any',
  },
  {
    breaks: 'capabilities need no elevation',
    text: 'CapAdd: nothing,',
    becomes: 'CapAdd: texts,',
    suite: 'unit/modules/docker/confinement/elevation-reasons',
  },
  {
    breaks: 'a security option that disables confinement needs no elevation',
    text: "enum: ['no-new-privileges', 'no-new-privileges:true', 'no-new-privileges=true'],",
    becomes:
      "enum: ['no-new-privileges', 'no-new-privileges:true', 'no-new-privileges=true', 'seccomp=unconfined'],",
    suite: 'unit/modules/docker/confinement/elevation-reasons',
  },
  {
    breaks: 'the nesting of create options is unlimited',
    text: "if (depth === 0) refuse('createOptions is nested too deeply');",
    becomes: '',
    suite: 'unit/modules/docker/create-options/create-options',
  },
  {
    breaks: 'a password appears in the error about invalid JSON',
    text: 'cause: cause instanceof Error ? cause.name : undefined,',
    becomes: 'cause: cause instanceof Error ? cause.message : undefined,',
    suite: 'unit/modules/docker/create-options/create-options',
  },
  {
    breaks: 'the requested digest is not stored',
    text: '...(imageDigest !== undefined && { digest: imageDigest }),',
    becomes: '',
    suite: 'unit/modules/docker/create-options/create-options-any',
  },
  {
    breaks: "another tool's container counts as ours",
    text: 'ours: labels.get(ownerLabel) === owner && isNamedFor(labels.get(moduleLabel), info.Name),',
    becomes: 'ours: isNamedFor(labels.get(moduleLabel), info.Name),',
    suite: 'unit/modules/docker/engine/inspect',
  },
  {
    breaks: "another module's container with this module's name counts as this module's",
    text: 'return module === undefined || name === `/${module}`;',
    becomes: 'return module === undefined || name !== module;',
    suite: 'unit/modules/docker/engine/inspect',
  },
  {
    breaks: 'timestamps of logs lose the zeros of their microseconds',
    text: "padStart(6, '0')",
    becomes: "padStart(5, '0')",
    suite: 'unit/modules/docker/engine/logs',
  },
  {
    breaks: 'a reference without a tag pulls all tags',
    text: "last.includes(':') || last.includes('@') ? reference : `${reference}:latest`;",
    becomes: "reference.includes(':') || last.includes('@') ? reference : `${reference}:latest`;",
    suite: 'unit/modules/docker/engine/pull',
  },
  {
    breaks: 'the length of a line of the engine is unlimited',
    text: 'if (bytes.length > longestLineBytes) {',
    becomes: 'if (bytes.length > 2 * longestLineBytes) {',
    suite: 'unit/modules/docker/engine/streams',
  },
  {
    breaks: 'a truncated log begins in the middle of a line',
    text: 'return tail.subarray(tail.indexOf(10) + 1);',
    becomes: 'return tail;',
    suite: 'unit/modules/docker/engine/streams',
  },
  {
    breaks: 'wrong credentials for a registry are retried forever',
    text: "if (/unauthorized|no basic auth|authentication required|denied/i.test(message)) {\n    return 'InvalidArgs';",
    becomes:
      "if (/unauthorized|no basic auth|authentication required|denied/i.test(message)) {\n    return 'Unavailable';",
    suite: 'unit/modules/docker/engine/pull',
  },
  {
    breaks: 'an image with another id and without the digest counts as the requested one',
    text: 'return imageDigest === undefined || id === imageDigest || digests.includes(imageDigest);',
    becomes:
      'return imageDigest === undefined || id !== imageDigest || digests.includes(imageDigest);',
    suite: 'unit/modules/docker/module-image',
  },
  {
    breaks: 'a digest that contradicts the reference is accepted',
    text: 'if (referred !== undefined && referred !== value) {',
    becomes: 'if (referred === undefined && value === image) {',
    suite: 'unit/modules/docker/create-options/create-options-any',
  },
  {
    breaks: 'a container is created from a tag that may have moved since its digest was checked',
    text: 'return found && (imageDigest === undefined ? image : found.id);',
    becomes: 'return found && image;',
    suite: 'unit/modules/docker/module-image',
  },
  {
    breaks: 'the registry is contacted although the policy is never',
    text: "if (imagePullPolicy === 'never') throw missing(this.#wanted);",
    becomes: '',
    suite: 'unit/modules/docker/module-image',
  },
  {
    breaks: 'a module may have the name of the device',
    text: 'const hosts = [hostname, machineName(), hostOf(hub_hostname), hostOf(gateway_hostname)];',
    becomes: 'const hosts = [machineName(), hostOf(hub_hostname), hostOf(gateway_hostname)];',
    suite: 'unit/modules/module-names',
  },
  {
    breaks: 'a module is created whose elevation is no longer allowed',
    text: 'return !(config.allowElevated && elevated);',
    becomes: 'return !elevated;',
    suite: 'unit/modules/docker/prepare',
  },
];
