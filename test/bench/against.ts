import { existsSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { EchoBench, thisCheckout } from './echo.ts';
import { quantile } from './result.ts';
import { SignBench } from './sign/sign.ts';
import { activation } from './start/activation.ts';
import { memory } from './start/memory.ts';

/** The results of a build as speeds: costs are inverted, so that more is always better. */
type Speeds = ReadonlyMap<string, number>;

/** The older build is measured twice: its difference from itself is the noise of the machine. */
type Side = 'old' | 'new' | 'again';
type Round = Readonly<Record<Side, Speeds>>;

/** Over all orders, every side runs as often before as after each other side. */
const orders: readonly (readonly Side[])[] = [
  ['old', 'new', 'again'],
  ['again', 'new', 'old'],
  ['new', 'old', 'again'],
  ['again', 'old', 'new'],
  ['old', 'again', 'new'],
  ['new', 'again', 'old'],
];
const wholeOrders = 3 * orders.length;
const slowestRatio = 0.97;

/** Restarts the servers of a build and measures their speed after V8 has compiled them. */
async function rates(echo: EchoBench, sign: SignBench, checkout: string): Promise<Speeds> {
  await echo.restart(checkout);
  await sign.use(checkout);
  await sign.warmUp();
  const paces = {
    echo: await echo.ours(),
    'Sign by root': await sign.pace(),
    'Sign by a user': await sign.pace({ user: 'operator' }),
    'Sign by root, 1 in flight': await sign.pace({ inFlight: 1 }),
  };
  return new Map(
    Object.entries(paces).flatMap(([what, { perSecond, cpu }]) => [
      [what, perSecond],
      [`CPU of ${what}`, 1 / cpu],
    ]),
  );
}

/** Restarts the services of a build and measures the cost of the start. */
async function starts(sign: SignBench, checkout: string): Promise<Speeds> {
  await sign.use(checkout);
  const { ours } = await activation(sign.rig);
  const memories = await memory(sign.rig);
  return new Map([
    ['activation of keys', 1 / ours],
    ...memories.map(({ what, ratio = Number.NaN }) => [what, 1 / ratio] as const),
  ]);
}

async function collect(
  old: string,
  rounds: number,
  measure: (checkout: string) => Promise<Speeds>,
): Promise<readonly Round[]> {
  const all: Round[] = [];
  while (all.length < rounds) {
    const round: Record<Side, Speeds> = { old: new Map(), new: new Map(), again: new Map() };
    for (const side of orders[all.length % orders.length] ?? [])
      round[side] = await measure(side === 'new' ? thisCheckout : old);
    all.push(round);
    console.error(`${all.length} of ${rounds}`);
  }
  return all;
}

/** The ratios of all rounds, with median and quartiles. */
class Ratios {
  readonly median: number;
  readonly low: number;
  readonly high: number;

  constructor(all: readonly Round[], side: Side, what: string) {
    const of = (speeds: Speeds): number => speeds.get(what) ?? Number.NaN;
    const ratios = all.map((round) => of(round[side]) / of(round.old));
    this.median = quantile(ratios, 0.5);
    this.low = quantile(ratios, 0.25);
    this.high = quantile(ratios, 0.75);
  }

  toString(): string {
    const [median, low, high] = [this.median, this.low, this.high].map((ratio) => ratio.toFixed(3));
    return `${median} (${low} to ${high})`;
  }
}

interface Comparison {
  readonly what: string;
  readonly ratios: Ratios;
  readonly noise: Ratios;
  readonly isSlower: boolean;
  /** Whether the noise of the machine is as large as the limit: a slightly slower build would go unnoticed. */
  readonly isNoisy: boolean;
}

function compare(all: readonly Round[]): readonly Comparison[] {
  const whats = [...(all[0]?.new.keys() ?? [])];
  return whats.map((what) => {
    const [ratios, noise] = [new Ratios(all, 'new', what), new Ratios(all, 'again', what)];
    const isSlower = !(ratios.median >= Math.min(slowestRatio, noise.low));
    return { what, ratios, noise, isSlower, isNoisy: !isSlower && noise.low < slowestRatio };
  });
}

/** Prints the speed of this build relative to an older one in another checkout, and returns whether it is not slower. */
export async function against(directory: string, rounds = wholeOrders): Promise<boolean> {
  const old = resolve(directory);
  if (!existsSync(join(old, 'dist/bin'))) throw new Error(`no finished build in "${old}"`);
  await using echo = await EchoBench.start();
  await using sign = await SignBench.start(echo.client);
  const all = [
    ...compare(await collect(old, rounds, (checkout) => rates(echo, sign, checkout))),
    ...compare(await collect(old, rounds, (checkout) => starts(sign, checkout))),
  ];
  console.log(`speeds as ratios, more is better: median (quartiles) of ${rounds} pairs`);
  console.table(
    all.map(({ what, ratios, noise }) => ({
      what,
      'new / old': String(ratios),
      'old / old': String(noise),
    })),
  );
  const slower = all.filter(({ isSlower }) => isSlower);
  const noisy = all.filter(({ isNoisy }) => isNoisy);
  if (noisy.length > 0) console.log(`old against old is below ${slowestRatio} too: ${list(noisy)}`);
  const bound = `below ${slowestRatio} outside the spread of old against old`;
  console.log(slower.length === 0 ? `none ${bound}` : `${bound}: ${list(slower)}`);
  return slower.length === 0;
}

function list(comparisons: readonly Comparison[]): string {
  return comparisons.map(({ what }) => what).join(', ');
}
