// Signs with keys of a token through the process of its library, without a bus. Each line of its input is a
// request `{label, mechanism, count, inFlight}`, to which it prints the pace, as JSON.
// usage: node token.js LIBRARY PIN
import { createInterface } from 'node:readline';
import { Pkcs11Library } from '../../../src/keys/pkcs11/library/library.ts';
import { TokenSessions } from '../../../src/keys/pkcs11/library/token-sessions.ts';
import { CKA, CKM } from '../../../src/keys/pkcs11/protocol/constants.ts';
import { operations } from '../../../src/keys/pkcs11/protocol/operations.ts';
import type { Pace } from '../pace.ts';
import { quantile } from '../result.ts';

interface Request {
  readonly label: string;
  readonly mechanism: string;
  readonly count: number;
  readonly inFlight: number;
}

const digest = Buffer.alloc(32, 1);
/** The mechanism in the token, the input for it, and a usage that the private half has and the public half lacks. */
const mechanisms: Readonly<Record<string, { readonly mechanism: number; readonly data: Buffer }>> =
  {
    'ecdsa-sha256': { mechanism: CKM.ECDSA, data: digest },
    'rsa-pkcs1-sha256': {
      mechanism: CKM.RSA_PKCS,
      data: Buffer.concat([Buffer.from('3031300d060960864801650304020105000420', 'hex'), digest]),
    },
    'hmac-sha256': { mechanism: CKM.SHA256_HMAC, data: digest },
  };

/** A signature with a key of the token. */
type Sign = () => Promise<void>;

/** Opens a token, and returns a function that finds a key in it. */
async function open(path: string, pin: string): Promise<(request: Request) => Promise<Sign>> {
  const library = new Pkcs11Library(path);
  await library.ready();
  const [token] = await library.call(operations.tokens, undefined);
  if (token === undefined) throw new Error('no token');
  const { slot } = token;
  const sessions = await TokenSessions.open(library, { slot, isWritable: false, limit: 4 });
  await sessions.login(Buffer.from(pin));
  return async ({ label, mechanism: name }) => {
    const { mechanism, data } = mechanisms[name] ?? { mechanism: 0, data: digest };
    const template = [
      { type: CKA.SIGN, value: true },
      { type: CKA.LABEL, value: label },
    ];
    const [found] = await sessions.find([{ template, attributes: [] }]);
    const key = found?.[0]?.handle;
    if (key === undefined) throw new Error(`no key "${label}"`);
    const operation = { mechanism: { mechanism }, key, data, pin: undefined };
    return async () => void (await sessions.sign(operation));
  };
}

async function measure(sign: Sign, { count, inFlight }: Request): Promise<Pace> {
  const times: number[] = [];
  let begun = 0;
  const worker = async (): Promise<void> => {
    while (begun++ < count) {
      const startedAt = performance.now();
      await sign();
      times.push(performance.now() - startedAt);
    }
  };
  const startedAt = performance.now();
  await Promise.all(Array.from({ length: inFlight }, worker));
  const seconds = (performance.now() - startedAt) / 1000;
  const [p50, p99] = [0.5, 0.99].map((share) => quantile(times, share) * 1000);
  return { perSecond: count / seconds, p50: p50 ?? Number.NaN, p99: p99 ?? Number.NaN };
}

async function main([path = '', pin = '']: readonly string[]): Promise<void> {
  const find = await open(path, pin);
  const keys = new Map<string, Sign>();
  for await (const line of createInterface({ input: process.stdin })) {
    const request = JSON.parse(line) as Request; // written by the bench
    const sign = keys.get(request.label) ?? (await find(request));
    keys.set(request.label, sign);
    console.log(JSON.stringify(await measure(sign, request)));
  }
}

void main(process.argv.slice(2));
