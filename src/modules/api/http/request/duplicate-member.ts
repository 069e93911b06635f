import { endOfString } from './nesting.ts';

/** An array or object around the current position; `key` is undefined in an array. */
interface Frame {
  readonly keys: Set<string> | undefined;
  key: string;
}

const quote = 0x22;

/** The path of a member that an object has twice, undefined when there is none. Needs a text that is valid JSON. */
export function duplicateMember(text: string): readonly string[] | undefined {
  const frames: Frame[] = [];
  let isKey = false;
  for (let at = 0; at < text.length; at++) {
    const frame = frames.at(-1);
    switch (text.charCodeAt(at)) {
      case 0x7b: // {
        frames.push({ keys: new Set(), key: '' });
        isKey = true;
        break;
      case 0x5b: // [
        frames.push({ keys: undefined, key: '' });
        break;
      case 0x7d: // }
      case 0x5d: // ]
        frames.pop();
        isKey = false;
        break;
      case 0x2c: // ,
        isKey = frame?.keys !== undefined;
        break;
      case quote: {
        const end = endOfString(text, at);
        if (isKey && frame?.keys !== undefined) {
          frame.key = stringOf(text.slice(at, end + 1));
          if (frame.keys.has(frame.key)) return frames.map(({ key }) => key);
          frame.keys.add(frame.key);
          isKey = false;
        }
        at = end;
        break;
      }
      default:
        break;
    }
  }
  return undefined;
}

function stringOf(quoted: string): string {
  if (!quoted.includes('\\')) return quoted.slice(1, -1);
  const parsed: unknown = JSON.parse(quoted);
  return String(parsed);
}
