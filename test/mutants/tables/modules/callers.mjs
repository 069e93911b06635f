export default [
  {
    breaks: 'a group whose name begins with that of a module is the module',
    text: '  return parts.every((part, index) => within[index] === part);',
    becomes: '  return parts.length > 0 && inner.startsWith(outer) && within.length > 0;',
    suite: 'integration/modules/callers/host-workload',
  },
  {
    breaks: 'a group of the name of a module is the module, wherever it is',
    text: '  return parts.every((part, index) => within[index] === part);',
    becomes: '  return within.at(-1) === parts.at(-1);',
    suite: 'integration/modules/callers/host-workload',
  },
  {
    breaks: 'one hierarchy decides whose process calls',
    text: '    isPathWithin(inner.unified, outer.unified) &&\n',
    becomes: '',
    suite: 'unit/modules/callers/cgroup',
  },
  {
    breaks: 'every process calls as a module in the root group',
    text: 'if (cgroups === undefined || isRoot(cgroups.main)) return false;',
    becomes: 'if (cgroups === undefined) return false;',
    suite: 'unit/modules/callers/callers',
  },
  {
    breaks: 'processes of the runtime call as a module that shares its group',
    text: 'const foreign = [this.#own, cgroups.parent, ...others];',
    becomes: 'const foreign = [cgroups.parent, ...others];',
    suite: 'unit/modules/callers/callers',
  },
  {
    breaks: 'processes of the engine call as a module that shares its group',
    text: 'const foreign = [this.#own, cgroups.parent, ...others];',
    becomes: 'const foreign = [this.#own, ...others];',
    suite: 'unit/modules/callers/callers',
  },
  {
    breaks: 'of two modules in one group one calls as the other',
    text: 'const foreign = [this.#own, cgroups.parent, ...others];',
    becomes: 'const foreign = [this.#own, cgroups.parent];',
    suite: 'unit/modules/callers/callers',
  },
  {
    breaks: 'a process that takes the pid of one that ended calls as its module',
    text: 'return pidfd === undefined || pidOf(pidfd) === pid ? found : undefined;',
    becomes: 'return found;',
    suite: 'integration/modules/callers/peers',
  },
  {
    breaks: 'a module that calls as soon as it runs is refused',
    text: 'if (module !== undefined || !mayBeStarting || performance.now() > until) return module;',
    becomes: 'if (mayBeStarting || performance.now() < until) return module;',
    suite: 'unit/modules/callers/callers',
  },
  {
    breaks: 'connections of strangers use up those of modules on the host socket',
    text: '    return this.#parts.callers.find(peer.cgroup) ?? `uid ${peer.uid}`;',
    becomes: "    return '';",
    suite: 'integration/modules/callers/host-workload',
  },
  {
    breaks: 'the runtime does not start without /proc, as in the chroot of an installation',
    text: "return parseCgroup('');",
    becomes: "return cgroupOf('self');",
    suite: 'system/packages/chroot',
  },
];
