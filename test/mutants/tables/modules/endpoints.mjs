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
  {
    breaks: 'a body may be nested as deeply as it is long',
    text: 'if (isNestedDeeper(text, maxNesting))',
    becomes: 'if (text.length < 0)',
    suite: 'integration/modules/api/hostile-management',
  },
  {
    breaks: 'brackets in strings count as nesting',
    text: 'case quote:\n        at = endOfString(text, at);\n        break;\n      default:',
    becomes: 'default:',
    suite: 'unit/modules/api/http/request/nesting',
  },
  {
    breaks: 'a throttled request to the hub is repeated for ever',
    text: 'if (waitS === undefined || retries === maxRetries) return response;',
    becomes: 'if (waitS === undefined) return response;',
    suite: 'integration/modules/management/device-routes',
  },
];
