export default [
  {
    breaks: 'a stranger with a malformed body learns that it is one',
    text: '    const { json: body, bytes } = await readBody(exchange, route);\n    await route.admit?.(params);\n',
    becomes:
      '    await route.admit?.(params);\n    const { json: body, bytes } = await readBody(exchange, route);\n',
    suite: 'component/modules/api/http/bodies',
  },
  {
    breaks: 'a path is known in versions before its first one',
    text: 'if (route.since !== undefined && target.version < route.since) continue;',
    becomes: '',
    suite: 'component/modules/api/http/bodies',
  },
  {
    breaks: 'a slash is allowed at the end of every path',
    text: 'const isSlashed = trailingSlash === true && segments',
    becomes: 'const isSlashed = path !== "" && segments',
    suite: 'component/modules/api/http/bodies',
  },
  {
    breaks: 'a body of another type is parsed',
    text: 'const text = isOfType && body.length > 0',
    becomes: 'const text = body.length > 0',
    suite: 'component/modules/api/http/bodies',
  },
  {
    breaks: 'PUT of another type is taken as one without a body',
    text: "if (isPut && !isOfType) throw new HttpProblem(415, 'the body is not application/json');",
    becomes: '',
    suite: 'component/modules/api/http/bodies',
  },
  {
    breaks: 'a member that is there twice counts once',
    text: 'if (path === undefined) return { json, bytes: body.length };',
    becomes: 'if (path !== undefined || json !== null) return { json, bytes: body.length };',
    suite: 'component/modules/api/http/bodies',
  },
  {
    breaks: 'the body of a GET is parsed',
    text: "if (route.method === 'GET') return { json: undefined, bytes: 0 };",
    becomes: '',
    suite: 'component/modules/api/http/bodies',
  },
  {
    breaks: '204 states the type of a body',
    text: "...(status !== 204 && { 'Content-Type': type }),",
    becomes: "'Content-Type': type,",
    suite: 'component/modules/api/http/bodies',
  },
  {
    breaks: 'a target that is too long is a head that is',
    text: "if (isTarget) return new HttpProblem(414, 'the target of the request is longer than 16 KiB');",
    becomes: '',
    suite: 'component/modules/api/http/bodies',
  },
  {
    breaks: 'a stream is produced faster than it is read',
    text: "if (!response.write(next.value)) await once(response, 'drain', { signal: closed });",
    becomes: 'response.write(next.value);',
    suite: 'component/modules/api/http/streams',
  },
  {
    breaks: 'the producer of a stream goes on after its client left',
    text: 'if (!isWhole) void abandon(iterator);',
    becomes: '',
    suite: 'component/modules/api/http/streams',
  },
  {
    breaks: 'a stream that failed appears to be whole',
    text: '    request.socket.destroy();\n    throw error;',
    becomes: '    response.end();\n    throw error;',
    suite: 'component/modules/api/http/streams',
  },
  {
    breaks: 'streams are not limited in number',
    text: 'if (this.#reserved >= maxStreams) {',
    becomes: 'if (this.#reserved < 0) {',
    suite: 'component/modules/api/http/streams',
  },
  {
    breaks: 'the place of a stream that ended stays occupied',
    text: '  progress.place?.[Symbol.dispose]();\n',
    becomes: '',
    suite: 'component/modules/api/http/streams',
  },
  {
    breaks: 'streams delay the end of their socket',
    text: '    this.#server.close();\n    this.#closeIdle();\n',
    becomes: '    this.#closeIdle();\n',
    suite: 'component/modules/api/http/streams',
  },
  {
    breaks: 'a client waits for a response that cannot be written',
    text: 'reply = serialized(await replyTo(parts, { ...exchange, requestId }, progress));',
    becomes: 'reply = await replyTo(parts, { ...exchange, requestId }, progress);',
    suite: 'component/modules/api/http/streams',
  },
];
