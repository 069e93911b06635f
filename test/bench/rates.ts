import { EchoBench } from './echo.ts';
import { several } from './pace.ts';
import { median, type Result } from './result.ts';
import { HopBench } from './sign/hop.ts';
import { signingKeys } from './sign/keys.ts';
import { P11KitBench } from './sign/p11-kit.ts';
import { polkitQuestions } from './sign/polkit-questions.ts';
import { SignBench } from './sign/sign.ts';

interface Benches {
  readonly echo: EchoBench;
  readonly sign: SignBench;
  readonly hop: HopBench;
  readonly p11Kit: P11KitBench;
}

const { 'P-256': ec, 'RSA-2048': rsa, HMAC: mac, 'HMAC in a file': fileMac } = signingKeys;
/** Signatures in a row by one connection of a user, more than fit into the time for which polkit's decision is cached. */
const longRun = 100_000;

/** Every measurement once, so that the speed of the machine at the moment is that of what is compared. */
async function measureRound({ echo, sign, hop, p11Kit }: Benches) {
  return {
    sdBus: await echo.floor(),
    echo: await echo.ours(),
    sign: await sign.pace(),
    p11Kit: await p11Kit.pace(several),
    hop: await hop.pace(ec),
    user: await sign.pace({ user: 'operator' }),
    echoAlone: await echo.ours(1),
    signAlone: await sign.pace({ inFlight: 1 }),
    p11KitAlone: await p11Kit.pace(1),
    hopAlone: await hop.pace(ec, 1),
    userAlone: await sign.pace({ user: 'operator', inFlight: 1 }),
    token: await p11Kit.inProcess(),
    rsaHop: await hop.pace(rsa),
    rsa: await sign.pace({ key: rsa }),
    macHop: await hop.pace(mac),
    mac: await sign.pace({ key: mac }),
    fileMac: await sign.pace({ key: fileMac }),
  };
}

type Round = Awaited<ReturnType<typeof measureRound>>;

/** A value of every round beside its floor. */
interface Comparison {
  readonly what: string;
  readonly unit: '/s' | ' µs';
  readonly ours: (round: Round) => number;
  readonly floor: (round: Round) => number;
  readonly of: string;
  readonly wanted?: string;
}

function resultOf(all: readonly Round[], comparison: Comparison): Result {
  const { what, unit, ours, floor, of, wanted } = comparison;
  const text = (value: (round: Round) => number): string =>
    `${median(all.map(value)).toFixed(0)}${unit}`;
  return {
    what,
    measured: text(ours),
    floor: `${text(floor)} ${of}`,
    ratio: median(all.map((round) => ours(round) / floor(round))),
    ...(wanted !== undefined && { wanted }),
  };
}

/** The rate of a call and then a signature, each alone. */
function afterEchoAt({ echo }: Round, { perSecond }: { readonly perSecond: number }): number {
  return 1 / (1 / echo.perSecond + 1 / perSecond);
}

/** The same floors and limits apply to both callers. */
function signatures(by: string, caller: 'sign' | 'user'): readonly Comparison[] {
  const alone = `${caller}Alone` as const;
  const of = 'echo + hop';
  const latency = (name: 'p50' | 'p99') => ({
    what: `Sign P-256 ${by}, 1 in flight: ${name}`,
    unit: ' µs' as const,
    ours: (round: Round) => round[alone][name],
    floor: ({ echoAlone, hopAlone }: Round) => echoAlone[name] + hopAlone[name],
    of,
  });
  return [
    {
      what: `Sign P-256 ${by}, ${several} in flight`,
      unit: '/s',
      ours: (round) => round[caller].perSecond,
      floor: (round) => afterEchoAt(round, round.hop),
      of: 'echo, then hop',
      wanted: '>= 0.80',
    },
    {
      what: `Sign P-256 ${by}, ${several} in flight: CPU of both processes`,
      unit: ' µs',
      ours: (round) => round[caller].cpu,
      floor: ({ echo, hop }) => echo.cpu + hop.cpu,
      of,
      wanted: '<= 1.40',
    },
    { ...latency('p50'), wanted: '<= 1.15' },
    latency('p99'),
  ];
}

function otherKey(name: 'rsa' | 'mac', what: string): Comparison {
  return {
    what: `Sign ${what}, ${several} in flight`,
    unit: '/s',
    ours: (round) => round[name].perSecond,
    floor: (round) => afterEchoAt(round, round[`${name}Hop`]),
    of: 'echo, then hop',
  };
}

const comparisons: readonly Comparison[] = [
  {
    what: `echo, ${several} in flight`,
    unit: '/s',
    ours: ({ echo }) => echo.perSecond,
    floor: ({ sdBus }) => sdBus.perSecond,
    of: 'sd-bus in C',
    wanted: '>= 0.70',
  },
  {
    what: `hop to the token without a bus, ${several} in flight`,
    unit: '/s',
    ours: ({ hop }) => hop.perSecond,
    floor: ({ token }) => token.perSecond,
    of: 'SoftHSM in C',
  },
  ...signatures('by root', 'sign'),
  ...signatures('by a user', 'user'),
  otherKey('rsa', 'RSA-2048'),
  otherKey('mac', 'HMAC'),
  {
    what: `Sign HMAC of a file, ${several} in flight`,
    unit: '/s',
    ours: ({ fileMac }) => fileMac.perSecond,
    floor: ({ echo }) => echo.perSecond,
    of: 'echo',
  },
  {
    what: `Sign P-256 by root, ${several} in flight`,
    unit: '/s',
    ours: ({ sign }) => sign.perSecond,
    floor: ({ p11Kit }) => p11Kit.perSecond,
    of: `p11-kit, ${several} threads`,
    wanted: '>= 1.00',
  },
  {
    what: 'Sign P-256 by root, 1 in flight',
    unit: '/s',
    ours: ({ signAlone }) => signAlone.perSecond,
    floor: ({ p11KitAlone }) => p11KitAlone.perSecond,
    of: 'p11-kit, 1 thread',
  },
];

/** How often the service asks polkit about one user who signs all the time. */
async function questions({ sign }: Benches): Promise<Result> {
  let seconds = 0;
  const asked = await polkitQuestions(sign.rig.address, async () => {
    const { perSecond } = await sign.pace({ user: 'operator', key: { ...ec, count: longRun } });
    seconds = longRun / perSecond;
  });
  return {
    what: `questions to polkit for ${longRun} Sign by a user`,
    measured: `${asked} in ${seconds.toFixed(0)} s`,
    floor: 'cached for 10 s',
  };
}

/** Echo and Sign, against their parts and against p11-kit. */
export async function rates(rounds = 15): Promise<readonly Result[]> {
  await using echo = await EchoBench.start();
  await using sign = await SignBench.start(echo.client);
  await sign.createKeys();
  using hop = await HopBench.start(sign.rig);
  using p11Kit = await P11KitBench.start(sign.rig, echo.directory);
  const benches = { echo, sign, hop, p11Kit };
  await sign.warmUp();
  const all: Round[] = [];
  while (all.length < rounds) all.push(await measureRound(benches));
  return [...comparisons.map((each) => resultOf(all, each)), await questions(benches)];
}
