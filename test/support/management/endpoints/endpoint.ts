/** A row of the tables of endpoints, and how a response is compared with it. */

/**
 * What a value is to be: a form by name, a text that a string contains, a pattern, an object whose members are all named
 * (`?` at the end of the name of one that may be missing), or an array with one of the form of each element.
 */
export type Shape =
  | 'string'
  | 'number'
  | 'boolean'
  | 'any'
  | RegExp
  | { readonly [member: string]: Shape }
  | readonly [Shape];

/** `METHOD target`: with the newest API version where the target has no query that says another one. */
export interface Endpoint {
  readonly request: string;
  readonly status: number;
  /** Of the JSON body; that of an error is its message. Without it there is no body, or an error of any text. */
  readonly answer?: Shape;
  /** An object is sent as JSON, a text as it is. */
  readonly body?: object | string;
  /** The content type, `application/json` unless stated; none when it is empty. */
  readonly type?: string;
  /** The content type of a body that is not JSON. */
  readonly answerType?: RegExp;
  /** Whether the target is sent as it is, without a version. */
  readonly asItIs?: true;
}

/** A request as the client sends it. */
export interface SentRequest {
  readonly api: 'management' | 'workload';
  readonly method: string;
  readonly target: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly body?: string;
}

/** A response as the client prints it. */
export interface PrintedResponse {
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  readonly text: string;
}

const newest = { management: '2022-08-03', workload: '2020-07-07' } as const;

/** The request of a row. */
export function sentRequest(api: SentRequest['api'], row: Endpoint): SentRequest {
  const at = row.request.indexOf(' ');
  const [method, path] = [row.request.slice(0, at), row.request.slice(at + 1)];
  const isComplete = row.asItIs === true || /[?&]api-version=/.test(path);
  const separator = path.includes('?') ? '&' : '?';
  const target = isComplete ? path : `${path}${separator}api-version=${newest[api]}`;
  const body = typeof row.body === 'object' ? JSON.stringify(row.body) : row.body;
  const type = row.type ?? (body === undefined ? '' : 'application/json');
  const headers = {
    Host: 'mgmt.sock:80',
    Connection: 'close',
    ...(type !== '' && { 'Content-Type': type }),
    ...(body !== undefined && { 'Content-Length': String(Buffer.byteLength(body)) }),
  };
  return { api, method, target, headers, ...(body !== undefined && { body }) };
}

/** What is wrong with the response to the request of a row; undefined when nothing is. */
export function difference(row: Endpoint, response: PrintedResponse): string | undefined {
  const { status, headers, text } = response;
  const shown = `${status} ${text.slice(0, 300)}`;
  if (status !== row.status) return `${row.status} expected, not ${shown}`;
  if (headers['date'] === undefined) return 'no date';
  if (status === 204) return text === '' ? undefined : 'a body';
  if (row.answer instanceof RegExp && status < 400) {
    const type = headers['content-type'] ?? '';
    if (row.answerType?.test(type) === false) return `a body of type "${type}"`;
    return row.answer.test(text) ? undefined : `another body: ${shown}`;
  }
  if (!/^application\/json\b/.test(headers['content-type'] ?? '')) return 'no JSON';
  const json: unknown = JSON.parse(text);
  const shape = status < 400 ? (row.answer ?? 'any') : { message: row.answer ?? 'string' };
  return mismatch(json, shape, 'the body') && `${mismatch(json, shape, 'the body')}: ${shown}`;
}

function mismatch(value: unknown, shape: Shape, path: string): string | undefined {
  if (shape === 'any') return undefined;
  if (shape instanceof RegExp) {
    return typeof value === 'string' && shape.test(value) ? undefined : `${path} is not ${shape}`;
  }
  if (typeof shape === 'string') {
    return typeof value === shape ? undefined : `${path} is no ${shape}`;
  }
  if (Array.isArray(shape)) {
    if (!Array.isArray(value)) return `${path} is no array`;
    const [each] = shape as readonly [Shape]; // it is an array
    return first(value, (one, index) => mismatch(one, each, `${path}[${index}]`));
  }
  if (typeof value !== 'object' || value === null) return `${path} is no object`;
  const members = new Map<string, unknown>(Object.entries(value));
  const shapes = new Map(
    Object.entries(shape).map(([name, form]) => [name.replace(/\?$/, ''), { name, form }]),
  );
  const extra = [...members.keys()].find((name) => !shapes.has(name));
  if (extra !== undefined) return `${path} has "${extra}"`;
  return first([...shapes], ([name, { name: written, form }]) => {
    if (!members.has(name)) return written.endsWith('?') ? undefined : `${path} has no "${name}"`;
    return mismatch(members.get(name), form, `${path}.${name}`);
  });
}

function first<T>(
  all: readonly T[],
  find: (one: T, index: number) => string | undefined,
): string | undefined {
  for (const [index, one] of all.entries()) {
    const found = find(one, index);
    if (found !== undefined) return found;
  }
  return undefined;
}
