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

type Value = (round: Round) => number;

/** A rate or cost of every round beside its floor. */
interface Comparison {
  readonly what: string;
  readonly unit: '/s' | ' µs';
  readonly ours: Value;
  /** What a call consists of, each measured alone: the floor is one after the other. */
  readonly floor: Readonly<Record<string, Value>>;
  readonly wanted?: string;
}

function resultOf(all: readonly Round[], comparison: Comparison): Result {
  const { what, unit, ours, floor, wanted } = comparison;
  const parts = Object.entries(floor);
  const sum: Value = (round) =>
    parts.map(([, value]) => value(round)).reduce((one, other) => one + other);
  const inTurn: Value = (round) =>
    1 / parts.map(([, value]) => 1 / value(round)).reduce((one, other) => one + other);
  const whole = unit === '/s' ? inTurn : sum;
  const text = (value: Value): string => median(all.map(value)).toFixed(0);
  const names = parts.map(([name, value]) => `${name} ${text(value)}`).join(', ');
  return {
    what,
    measured: `${text(ours)}${unit}`,
    floor: parts.length === 1 ? `${names}${unit}` : `${text(whole)}${unit}: ${names}`,
    ratio: median(all.map((round) => ours(round) / whole(round))),
    ...(wanted !== undefined && { wanted }),
  };
}

/** The same floors and limits apply to both callers. */
function signatures(by: string, caller: 'sign' | 'user'): readonly Comparison[] {
  const alone = `${caller}Alone` as const;
  const latency = (name: 'p50' | 'p99'): Comparison => ({
    what: `Sign P-256 ${by}, 1 in flight: ${name}`,
    unit: ' µs',
    ours: (round) => round[alone][name],
    floor: { echo: ({ echoAlone }) => echoAlone[name], hop: ({ hopAlone }) => hopAlone[name] },
  });
  return [
    {
      what: `Sign P-256 ${by}, ${several} in flight`,
      unit: '/s',
      ours: (round) => round[caller].perSecond,
      floor: { echo: ({ echo }) => echo.perSecond, hop: ({ hop }) => hop.perSecond },
      wanted: '>= 0.80',
    },
    {
      what: `CPU of both processes for a Sign P-256 ${by}, ${several} in flight`,
      unit: ' µs',
      ours: (round) => round[caller].cpu,
      floor: { echo: ({ echo }) => echo.cpu, hop: ({ hop }) => hop.cpu },
      wanted: '<= 1.40',
    },
    { ...latency('p50'), wanted: '<= 1.15' },
    latency('p99'),
  ];
}

function otherKey(name: 'rsa' | 'mac', what: string): Comparison {
  const hop = `${name}Hop` as const;
  return {
    what: `Sign ${what}, ${several} in flight`,
    unit: '/s',
    ours: (round) => round[name].perSecond,
    floor: { echo: ({ echo }) => echo.perSecond, hop: (round) => round[hop].perSecond },
  };
}

const comparisons: readonly Comparison[] = [
  {
    what: `echo, ${several} in flight`,
    unit: '/s',
    ours: ({ echo }) => echo.perSecond,
    floor: { 'sd-bus in C': ({ sdBus }) => sdBus.perSecond },
    wanted: '>= 0.70',
  },
  {
    what: `hop: P-256 through the child process without a bus, ${several} in flight`,
    unit: '/s',
    ours: ({ hop }) => hop.perSecond,
    floor: { 'SoftHSM in C': ({ token }) => token.perSecond },
  },
  ...signatures('by root', 'sign'),
  ...signatures('by a user', 'user'),
  otherKey('rsa', 'RSA-2048'),
  otherKey('mac', 'HMAC'),
  {
    what: `Sign HMAC with a key in a file, ${several} in flight`,
    unit: '/s',
    ours: ({ fileMac }) => fileMac.perSecond,
    floor: { echo: ({ echo }) => echo.perSecond },
  },
  {
    what: `Sign P-256 by root, ${several} in flight`,
    unit: '/s',
    ours: ({ sign }) => sign.perSecond,
    floor: { [`p11-kit, ${several} threads`]: ({ p11Kit }) => p11Kit.perSecond },
    wanted: '>= 1.00',
  },
  {
    what: 'Sign P-256 by root, 1 in flight',
    unit: '/s',
    ours: ({ signAlone }) => signAlone.perSecond,
    floor: { 'p11-kit, 1 thread': ({ p11KitAlone }) => p11KitAlone.perSecond },
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
