/**
 * YAML 1.2 as configuration: every node has its position, and constructs with a misleading meaning (duplicate keys,
 * `<<`, several documents, endless aliases) are problems.
 */
import {
  constructFromEvents,
  EVENT_ID,
  type Event,
  getScalarValue,
  parseEvents,
  SCALAR_STYLE,
  type ScalarEvent,
  YAMLException,
} from 'js-yaml';
import { unreachable } from '../../errors.ts';
import { quoted } from '../../quoted.ts';
import { ConfigError, type Position, type Problem } from './config-problem.ts';

/** A value of a configuration file. */
export type ConfigNode =
  | {
      readonly kind: 'scalar';
      readonly at: Position;
      readonly value: unknown;
      /** As written: a value that YAML parses as a number loses its zeros, and more. */
      readonly text: string;
    }
  | { readonly kind: 'list'; readonly at: Position; readonly items: readonly ConfigNode[] }
  | MapNode;

/** A map of a configuration file. */
export interface MapNode {
  readonly kind: 'map';
  readonly at: Position;
  readonly entries: ReadonlyMap<string, MapEntry>;
}

/** One entry of a map; `at` is the position of its key. */
export interface MapEntry {
  readonly at: Position;
  readonly node: ConfigNode;
}

/** The content of a file: undefined when it is empty or has only comments. */
export interface ParsedYaml {
  readonly node: ConfigNode | undefined;
  readonly problems: readonly Problem[];
}

const maxNodes = 100_000;
const maxDepth = 50;

/** Reads one YAML document. */
export function parseYaml(text: string, file: string): ParsedYaml {
  try {
    return new Reader(text, file).read();
  } catch (error) {
    if (error instanceof ConfigError) return { node: undefined, problems: error.problems };
    if (!(error instanceof YAMLException)) throw error;
    const at = { file, line: (error.mark?.line ?? 0) + 1, column: (error.mark?.column ?? 0) + 1 };
    return { node: undefined, problems: [{ ...at, path: '', message: unquoted(error.reason) }] };
  }
}

class Reader {
  readonly #text: string;
  readonly #file: string;
  readonly #lineStarts: readonly number[];
  readonly #problems: Problem[] = [];
  readonly #anchors = new Map<string, { readonly node: ConfigNode; readonly size: number }>();
  #events: readonly Event[] = [];
  #next = 0;
  #nodes = 0;

  constructor(text: string, file: string) {
    this.#text = text;
    this.#file = file;
    this.#lineStarts = [
      0,
      ...[...text.matchAll(/\r\n|\n|\r/g)].map((end) => end.index + end[0].length),
    ];
  }

  read(): ParsedYaml {
    this.#events = parseEvents(this.#text, { filename: this.#file, maxDepth });
    const documents = this.#events.filter((event) => event.type === EVENT_ID.DOCUMENT).length;
    if (documents === 0) return { node: undefined, problems: [] };
    this.#next = 1;
    const node = this.#node(this.#position(0));
    if (documents > 1) this.#problem(node.at, 'the file has more than one document');
    const empty = node.kind === 'scalar' && node.value === null;
    return { node: empty ? undefined : node, problems: this.#problems };
  }

  #node(fallback: Position): ConfigNode {
    const event = this.#take();
    this.#count(1, fallback);
    switch (event.type) {
      case EVENT_ID.SCALAR:
        return this.#anchored(event, this.#scalar(event, fallback), 1);
      case EVENT_ID.SEQUENCE:
      case EVENT_ID.MAPPING: {
        const before = this.#nodes;
        const at = this.#position(event.start);
        if (event.tagStart >= 0) this.#problem(at, 'tags on maps and lists are not accepted');
        const node = event.type === EVENT_ID.MAPPING ? this.#map(at) : this.#list(at);
        return this.#anchored(event, node, this.#nodes - before + 1);
      }
      case EVENT_ID.ALIAS:
        return this.#alias(event.anchorStart, event.anchorEnd);
      case EVENT_ID.DOCUMENT:
      case EVENT_ID.POP:
        throw new TypeError('the YAML events do not nest');
      default:
        return unreachable(event);
    }
  }

  #scalar(event: ScalarEvent, fallback: Position): ConfigNode {
    const document: Event = {
      type: EVENT_ID.DOCUMENT,
      explicitStart: false,
      explicitEnd: false,
      directives: [],
    };
    const pop: Event = { type: EVENT_ID.POP };
    const [value] = constructFromEvents([document, event, pop], { source: this.#text });
    const at = event.valueStart < 0 ? fallback : this.#position(quoteStart(event));
    const text = event.valueStart < 0 ? '' : getScalarValue(this.#text, event);
    return { kind: 'scalar', at, value, text };
  }

  #list(at: Position): ConfigNode {
    const items: ConfigNode[] = [];
    while (!this.#end()) items.push(this.#node(at));
    return { kind: 'list', at, items };
  }

  #map(at: Position): ConfigNode {
    const entries = new Map<string, MapEntry>();
    while (!this.#end()) {
      const key = this.#key(at);
      const node = this.#node(key.at);
      if (key.text === undefined) continue;
      if (entries.has(key.text)) {
        this.#problem(key.at, `the key ${quoted(key.text)} stands here twice`);
      } else entries.set(key.text, { at: key.at, node });
    }
    return { kind: 'map', at, entries };
  }

  #key(fallback: Position): { at: Position; text: string | undefined } {
    const event = this.#events[this.#next];
    if (event?.type !== EVENT_ID.SCALAR || event.valueStart < 0) {
      const { at } = this.#node(fallback);
      this.#problem(at, 'a key must be a text');
      return { at, text: undefined };
    }
    this.#next++;
    this.#count(1, fallback);
    const at = this.#position(quoteStart(event));
    const text = getScalarValue(this.#text, event);
    if (text === '<<') {
      this.#problem(at, 'merging with "<<" is not accepted');
      return { at, text: undefined };
    }
    return { at, text };
  }

  #alias(start: number, end: number): ConfigNode {
    const at = this.#position(start - 1);
    const known = this.#anchors.get(this.#text.slice(start, end));
    if (known === undefined) {
      this.#problem(at, 'the alias names nothing that stands before it');
      return { kind: 'scalar', at, value: null, text: '' };
    }
    this.#count(known.size, at);
    return known.node;
  }

  #anchored(
    event: { readonly anchorStart: number; readonly anchorEnd: number },
    node: ConfigNode,
    size: number,
  ): ConfigNode {
    if (event.anchorStart >= 0) {
      this.#anchors.set(this.#text.slice(event.anchorStart, event.anchorEnd), { node, size });
    }
    return node;
  }

  /** Counts aliased nodes once for each alias, because code that walks the tree visits them as often. */
  #count(nodes: number, at: Position): void {
    this.#nodes += nodes;
    if (this.#nodes <= maxNodes) return;
    const message = 'the file is too large, counting what aliases repeat';
    throw new ConfigError([{ ...at, path: '', message }]);
  }

  #take(): Event {
    const event = this.#events[this.#next++];
    if (event === undefined) throw new TypeError('the YAML events end early');
    return event;
  }

  #end(): boolean {
    if (this.#events[this.#next]?.type !== EVENT_ID.POP) return false;
    this.#next++;
    return true;
  }

  #problem(at: Position, message: string): void {
    this.#problems.push({ ...at, path: '', message });
  }

  #position(offset: number): Position {
    let low = 0;
    let high = this.#lineStarts.length - 1;
    while (low < high) {
      const middle = Math.ceil((low + high) / 2);
      if ((this.#lineStarts[middle] ?? 0) <= offset) low = middle;
      else high = middle - 1;
    }
    return { file: this.#file, line: low + 1, column: offset - (this.#lineStarts[low] ?? 0) + 1 };
  }
}

/** The parser's message, without what it quotes of the file. */
function unquoted(reason: string): string {
  return reason.replace(/<[^]*>|"[^]*"|: [^]*/, '…');
}

/** Where a reader sees the scalar begin: at its quote, which is not part of the value. */
function quoteStart(event: ScalarEvent): number {
  const { SINGLE_QUOTED, DOUBLE_QUOTED } = SCALAR_STYLE;
  const quoted = event.style === SINGLE_QUOTED || event.style === DOUBLE_QUOTED;
  return quoted ? event.valueStart - 1 : event.valueStart;
}
