const superseded = 'unit/modules/registry/superseded';
const reconfigured = 'unit/modules/registry/reconfigured';

export default [
  {
    breaks: 'an update of the agent succeeds although modules.yaml has superseded it',
    text: 'if (operation !== undefined && desired.operation === undefined) abort(',
    becomes: 'if (operation === desired.operation && false) abort(',
    suite: superseded,
  },
  {
    breaks: 'the caller of a superseded update waits until the agent of modules.yaml runs',
    text: 'if (operation.signal.reason instanceof Superseded) throw error;',
    becomes: '',
    suite: superseded,
  },
  {
    breaks: 'the next process resumes an update that modules.yaml has superseded',
    text: "const isOfUpdate = operation?.verb === 'UpdateModule' || resumes === true;",
    becomes: 'const isOfUpdate = resumes === true;',
    suite: superseded,
  },
  {
    breaks: 'an agent that was stopped for its own update stays stopped with another configuration',
    text: "goal: resumes === true ? 'start' : goalBefore(state),",
    becomes: 'goal: goalBefore(state),',
    suite: superseded,
  },
  {
    breaks: 'an agent that ran before its update stays stopped with another configuration',
    text: 'if (update === undefined || !isOpen(update)) return goal;',
    becomes: 'if (update === undefined || isOpen(update)) return goal;',
    suite: reconfigured,
  },
];
