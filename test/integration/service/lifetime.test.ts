import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { defineInterface, defineService } from '../../../src/dbus/definition.ts';
import { describe, managerProperties } from '../../../src/interfaces/common.ts';
import { SystemAccounts } from '../../../src/service/accounts.ts';
import type { CommonConfig } from '../../../src/service/config/common-config.ts';
import { ServiceLog } from '../../../src/service/log/log.ts';
import { runService } from '../../../src/service/service-lifecycle.ts';
import type { StartContext, StartedService } from '../../../src/service/service-program.ts';
import { deadline } from '../../support/deadline.ts';
import { PrivateBus } from '../../support/rig/private-bus.ts';

const test = suite('from acquiring the name to the last reply');

const idler = defineService({
  name: 'idler',
  doc: 'A service that does nothing.',
  busName: 'org.iotedge.Idler1',
  path: '/org/iotedge/Idler1',
  user: 'root',
  actions: {},
  manager: defineInterface({
    name: 'org.iotedge.Idler1',
    doc: 'A service that does nothing.',
    methods: { Describe: describe },
    properties: managerProperties,
  }),
  child: {
    segment: 'thing',
    interface: defineInterface({ name: 'org.iotedge.Idler1.Thing', doc: 'A thing.' }),
  },
});

const config = {
  log_level: 'error',
  idle_exit_s: 0.01,
  authorization: { backend: 'acl', cache_s: 10, acl: [] },
  grants: [],
} as const;

const accounts = new SystemAccounts({ getent: false });
const sink = (): undefined => undefined;
const sinks = { console: sink, journal: sink };
const logOptions = { identifier: 'idler', level: 'err', target: 'console', sinks } as const;

const unread = { digest: '', loadedAt: new Date() };

/** No reloads are requested here. */
const unreloaded = {
  loadConfig: () => Promise.resolve({ config, accounts, ...unread }),
  onReloadRequest: () => undefined,
};

/**
 * An idle service in which an operation begins as it starts to exit; returns whether that was complete when the
 * service had ended. In a stopped service it never is.
 */
async function leave(stopped: boolean): Promise<{ readonly finished: boolean }> {
  await using rig = await PrivateBus.start();
  await using bus = await rig.connect();
  await using log = new ServiceLog(logOptions);
  const stop = new AbortController();
  let busy = false;
  let finished = false;
  const notify = (state: string): boolean => {
    if (state === 'READY=1' && stopped) stop.abort();
    if (state !== 'STOPPING=1') return true;
    busy = true;
    const finish = (): void => {
      busy = false;
      finished = true;
    };
    if (!stopped) setTimeout(finish, 200);
    return true;
  };
  const running: StartedService<typeof idler> = {
    handlers: {},
    resolvers: {},
    isBusy: () => busy,
  };
  const program = { service: idler, start: () => Promise.resolve(running) };
  const rest = {
    accounts,
    stateDir: rig.directory,
    log,
    version: '',
    notify,
    stop: stop.signal,
    ...unreloaded,
  };
  await deadline(10_000, runService(program, { bus, config, ...unread, ...rest }), 'the end');
  return { finished };
}

test('completes an operation that began during an idle exit', async () => {
  assert.is((await leave(false)).finished, true);
});

test('leaves operations without waiting callers incomplete when it is stopped', async () => {
  assert.is((await leave(true)).finished, false);
});

test('does not wait for its start when it is stopped', async () => {
  await using rig = await PrivateBus.start();
  await using bus = await rig.connect();
  await using log = new ServiceLog(logOptions);
  const stop = new AbortController();
  let cleanedUp = false;
  const start = ({ signal, cleanup }: StartContext<typeof idler, CommonConfig>): Promise<never> =>
    new Promise((_, reject) => {
      cleanup.defer(() => void (cleanedUp = true));
      signal.addEventListener('abort', () => reject(new Error('the start was given up')));
      stop.abort();
    });
  const rest = {
    accounts,
    stateDir: rig.directory,
    log,
    version: '',
    notify: () => true,
    stop: stop.signal,
    ...unreloaded,
  };
  const served = runService({ service: idler, start }, { bus, config, ...unread, ...rest });
  await deadline(10_000, served, 'the end');
  assert.is(cleanedUp, true);
});

test.run();
