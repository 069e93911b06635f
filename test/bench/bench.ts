// Prints the performance of the services against a floor that is measured in the same run, alternating with them.
// usage: bench [all]         rates, start and memory
//        bench flood [KIND]  a caller beside a flood of hostile messages
//        bench stall         a caller beside one that sends calls and never reads
//        bench --against DIRECTORY   rates, start and memory against the finished build of another checkout
import { type Activation, activation } from './activation.ts';
import { against } from './against.ts';
import { inFlight, type Pace } from './client.ts';
import { EchoBench } from './echo.ts';
import { floods } from './flood.ts';
import { memory } from './memory.ts';
import { median, type Result } from './result.ts';
import { SignBench } from './sign.ts';
import { stalls } from './stall.ts';

const rounds = 7;
const activations = 20;
/** The allowed cost of authentication and authorization per signature, beyond the echo and the token, in microseconds. */
const allowedCpu = 20;

interface Round {
  readonly echo: Pace;
  readonly sdBus: Pace;
  /** As root, which needs no authorization. */
  readonly sign: Pace;
  /** As a user that polkit allows. */
  readonly allowed: Pace;
  readonly token: Pace;
}

async function collect<T>(count: number, measure: () => Promise<T>): Promise<readonly T[]> {
  const all: T[] = [];
  while (all.length < count) all.push(await measure());
  return all;
}

function rateResult(
  what: string,
  paces: readonly { ours: number; floor: number }[],
  of: string,
): Result {
  return {
    what,
    measured: `${median(paces.map(({ ours }) => ours)).toFixed(0)}/s`,
    floor: `${median(paces.map(({ floor }) => floor)).toFixed(0)}/s ${of}`,
    ratio: median(paces.map(({ ours, floor }) => ours / floor)),
    wanted: '>= 0.70',
  };
}

function echoResult(all: readonly Round[]): Result {
  const pairs = all.map(({ echo, sdBus }) => ({ ours: echo.perSecond, floor: sdBus.perSecond }));
  return rateResult(`echo, ${inFlight} in flight`, pairs, 'sd-bus in C');
}

/** The callers: the same floor and limits apply to both. */
const signers = { sign: 'by root', allowed: 'by a user' } as const;
type Signer = keyof typeof signers;

/** A signature needs a call and then the token. */
function signResult(all: readonly Round[], signer: Signer): Result {
  const pairs = all.map(({ echo, token, ...round }) => ({
    ours: round[signer].perSecond,
    floor: 1 / (1 / echo.perSecond + 1 / token.perSecond),
  }));
  return rateResult(`Sign ${signers[signer]}, ${inFlight} in flight`, pairs, 'echo, then token');
}

function cpuResult(all: readonly Round[], signer: Signer): Result {
  const floorOf = ({ echo, token }: Round) => 1.3 * (echo.cpu + token.cpu) + allowedCpu;
  return {
    what: `CPU of a Sign ${signers[signer]}`,
    measured: `${median(all.map((round) => round[signer].cpu)).toFixed(0)} µs`,
    floor: `${median(all.map(floorOf)).toFixed(0)} µs: 1.3 × (echo + token) + ${allowedCpu}`,
    ratio: median(all.map((round) => round[signer].cpu / floorOf(round))),
    wanted: '<= 1.00',
  };
}

function activationResult(all: readonly Activation[]): Result {
  return {
    what: 'activation of keys to its first reply',
    measured: `${median(all.map(({ ours }) => ours)).toFixed(0)} ms`,
    floor: `${median(all.map(({ floor }) => floor)).toFixed(0)} ms node -e 0`,
    ratio: median(all.map(({ ours, floor }) => ours / floor)),
    wanted: '<= 1.80',
  };
}

async function measure(): Promise<readonly Result[]> {
  await using echo = await EchoBench.start();
  await using sign = await SignBench.start(echo.client);
  await sign.warmUp();
  const all = await collect(rounds, async () => ({
    sdBus: await echo.floor(),
    echo: await echo.ours(),
    token: await sign.token(),
    sign: await sign.ours(),
    allowed: await sign.ours('operator'),
  }));
  const starts = await collect(activations, () => activation(sign.rig));
  const memories = await memory(sign.rig);
  const signatures = (['sign', 'allowed'] as const).flatMap((signer) => [
    signResult(all, signer),
    cpuResult(all, signer),
  ]);
  return [echoResult(all), ...signatures, activationResult(starts), ...memories];
}

const suites: Readonly<Record<string, (...args: string[]) => Promise<readonly Result[]>>> = {
  all: measure,
  flood: floods,
  stall: stalls,
};

async function main(name = 'all', ...args: string[]): Promise<void> {
  if (name === '--against') {
    process.exitCode = (await against(...args)) ? 0 : 1;
    return;
  }
  const suite = suites[name];
  if (suite === undefined) throw new Error(`there is ${Object.keys(suites).join(', ')}`);
  const line = ({ ratio, ...rest }: Result) => ({ ...rest, ratio: ratio?.toFixed(2) });
  console.table((await suite(...args)).map(line));
}

void main(...process.argv.slice(2));
