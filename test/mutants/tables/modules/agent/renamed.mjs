const renamed = 'integration/modules/agent/renamed';
const records = 'component/modules/registry/records';
const former = 'unit/modules/registry/former-agents';

export default [
  {
    breaks: 'a former agent runs on beside the new one',
    text: 'if (former !== undefined) await retireAgent(former, abort);',
    becomes: '',
    suite: renamed,
  },
  {
    breaks: 'an agent starts while the former one still runs',
    text: 'const former = name === config.agent?.name ? this.#formerAgent() : undefined;',
    becomes: 'const former = name === config.onStop ? this.#formerAgent() : undefined;',
    suite: renamed,
  },
  {
    breaks: 'the next process does not know of an agent that modules.yaml no longer names',
    text: 'if (!records.has(source.name)) await module.supervisor.desired.force(recorded);\n        this.#modules.show(module);',
    becomes: 'this.#modules.show(module);',
    suite: renamed,
  },
  {
    breaks: 'an agent that an earlier version ran, without a record, runs on beside the new one',
    text: 'run(await this.#openAgent(unrecordedAgent(name)));',
    becomes: '',
    suite: renamed,
  },
  {
    breaks: 'an agent of another service on the same engine is removed',
    text: 'instance.agentSockets === socketsPath',
    becomes: 'instance.agentSockets !== undefined',
    suite: former,
  },
  {
    breaks: 'an agent whose record is unreadable is removed',
    text: ' || records.has(name)) continue;',
    becomes: ') continue;',
    suite: former,
  },
  {
    breaks: 'agents are removed while no record can be read',
    text: 'if (records.modules.failure !== undefined) return [];',
    becomes: '',
    suite: former,
  },
  {
    breaks: 'an agent that is named again is removed',
    text: 'if (isAbsence(state.goal)) return revived(state, read);',
    becomes: '',
    suite: renamed,
  },
  {
    breaks: 'a former agent becomes a module that stays',
    text: 'return retired({ source, state });',
    becomes: 'return { source, state };',
    suite: records,
  },
  {
    breaks: 'the next process removes an agent that is named again',
    text: 'if (isAbsence(state.goal)) return [revived(state, configured)];',
    becomes: '',
    suite: records,
  },
];
