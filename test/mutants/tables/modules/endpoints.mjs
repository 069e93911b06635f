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
];
