export default [
  {
    breaks: 'every path may have a slash at its end',
    text: 'const isSlashed = trailingSlash === true &&',
    becomes: 'const isSlashed =',
    suite: 'integration/modules/api/endpoints',
  },
  {
    breaks: 'what can only be a mistake of the client is 500: an agent repeats it',
    text: '  NotSupported: 400,\n',
    becomes: '  NotSupported: 400,\n  NotFound: 500,\n',
    suite: 'integration/modules/api/endpoints',
  },
  {
    breaks: 'a service that does not respond fails all checks of a bundle',
    text: "return { result: 'error', details: [describeError(error)] };",
    becomes: 'throw error;',
    suite: 'unit/modules/support-bundle/checks',
  },
  {
    breaks: 'a degraded service is reported as good',
    text: "if (members.get('health') === 'ok') return { result: 'ok' };",
    becomes: "if (members.has('health')) return { result: 'ok' };",
    suite: 'unit/modules/support-bundle/checks',
  },
];
