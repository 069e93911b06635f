export default [
  {
    breaks: 'the creation of one identity makes all modules ask the engine',
    text: 'if (isChanged(name) || !supervisor.isPrepared)',
    becomes: 'if (name || !supervisor.isPrepared)',
    suite: 'integration/modules/api/floods',
  },
  {
    breaks: 'a module that crashes is restarted at once whenever another identity changes',
    text: 'if (isChanged(name) || !supervisor.isPrepared)',
    becomes: 'if (true)',
    suite: 'component/modules/registry/module-registry',
  },
  {
    breaks: 'a module without an identity waits for its delay when another identity was deleted',
    text: 'if (isChanged(name) || !supervisor.isPrepared)',
    becomes: 'if (isChanged(name))',
    suite: 'component/modules/registry/module-registry',
  },
  {
    breaks: 'a change of the device is taken for one of no module',
    text: 'return object === pathNamespace || object === childPath',
    becomes: 'return object === childPath',
    suite: 'unit/modules/identities',
  },
  {
    breaks: 'the identity of a new object is looked for at its manager',
    text: 'return isOfManager ? String(body[0]) : path;',
    becomes: 'return path;',
    suite: 'unit/modules/identities',
  },
  {
    breaks: 'the runtime registers again what an agent has deleted',
    text: 'if (this.#released.has(moduleId)) {',
    becomes: 'if (false) {',
    suite: 'unit/modules/identities',
  },
  {
    breaks: 'the runtime registers a module again while its identity is deleted',
    text: 'this.#identities.release(moduleId);',
    becomes: '',
    suite: 'unit/modules/api/management/hub-identities',
  },
  {
    breaks: 'an agent that has repeated its former identity keeps it on another hub',
    text: '    else put({ [key]: value });\n',
    becomes: '',
    suite: 'unit/modules/docker/container-body',
  },
  {
    breaks: 'the environment of a request replaces that of create options',
    text: '  put(environment);\n  put(env);\n',
    becomes: '  put(environment);\n',
    suite: 'unit/modules/docker/container-body',
  },
  {
    breaks: 'a module is not told its sockets anew when they have moved',
    text: "  'IOTEDGE_WORKLOADURI',\n  'IOTEDGE_MANAGEMENTURI',\n",
    becomes: '',
    suite: 'unit/modules/docker/container-body',
  },
  {
    breaks:
      'a container that was made from another configuration gets the management API of the agent',
    text: 'if (instance !== undefined && isLive(instance) && instance.digest !== digest) return;',
    becomes: '',
    suite: 'component/modules/registry/module-registry',
  },
  {
    breaks:
      'the agent of a changed configuration has the management API before its container is looked at',
    text: 'saved: state, isUnproven: true }',
    becomes: 'saved: state }',
    suite: 'integration/modules/reload',
  },
];
