import { appendFileSync } from 'node:fs';
import { defineInterface, defineService } from '../../../src/dbus/definition.ts';
import { describe, managerProperties } from '../../../src/interfaces/common.ts';
import { type CommonConfig, commonProperties } from '../../../src/service/config/common-config.ts';
import { main } from '../../../src/service/run.ts';
import type {
  Reloaded,
  StartContext,
  StartedService,
} from '../../../src/service/service-program.ts';

const probeInterface = defineInterface({
  name: 'org.iotedge.Probe1',
  doc: 'A service that does nothing but live.',
  methods: {
    Echo: { doc: 'Answers.', in: { text: 's' }, out: { text: 's' }, authorize: 'public' },
    Slow: { doc: 'Answers late.', in: { ms: 'u' }, authorize: 'public' },
    Greet: {
      doc: 'Replies late with the greeting of the configuration.',
      in: { ms: 'u' },
      out: { greeting: 's' },
      authorize: 'public',
    },
    Reject: { doc: 'Leaves a rejection unhandled.', authorize: 'public' },
    Where: { doc: 'Where state is kept.', out: { directory: 's' }, authorize: 'public' },
    Guarded: {
      doc: 'Needs authorization.',
      in: { key_id: 's' },
      authorize: { action: 'org.iotedge.keys1.sign', details: ['key_id'] },
    },
    Describe: describe,
  },
  properties: managerProperties,
});

const probeService = defineService({
  name: 'probe',
  doc: 'A service that does nothing but live.',
  busName: 'org.iotedge.Probe1',
  path: '/org/iotedge/Probe1',
  user: 'root',
  manager: probeInterface,
  child: {
    segment: 'thing',
    interface: defineInterface({ name: 'org.iotedge.Probe1.Thing', doc: 'A thing.' }),
  },
  actions: {},
});

const schema = {
  $id: 'https://example.invalid/probe.schema.json',
  type: 'object',
  properties: {
    ...commonProperties,
    greeting: { type: 'string', default: '' },
    fixed: { type: 'string' },
  },
  additionalProperties: false,
};

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => {
    setTimeout(resolve, ms);
  });
}

/** Records the events of the process, for the tests that count starts. */
function note(text: string): void {
  const file = process.env['PROBE_NOTES'];
  if (file !== undefined) appendFileSync(file, `${process.pid} ${text}\n`);
}

interface ProbeConfig extends CommonConfig {
  readonly greeting: string;
  readonly fixed?: string;
}

type Probe = typeof probeService;

function handlersFor(
  { greeting }: ProbeConfig,
  { stateDir }: StartContext<Probe, ProbeConfig>,
): StartedService<Probe>['handlers'] {
  return {
    Echo: ({ text }) => ({ text }),
    async Slow({ ms }, call) {
      note('slow');
      await Promise.race([
        pause(ms),
        new Promise((resolve) => call.signal.addEventListener('abort', resolve)),
      ]);
      return {};
    },
    async Greet({ ms }) {
      note('greet');
      await pause(ms);
      return { greeting };
    },
    Reject() {
      void Promise.reject(new Error('nobody looks'));
      return {};
    },
    Where: () => ({ directory: stateDir }),
    Guarded: () => ({}),
  };
}

async function reload(
  config: ProbeConfig,
  context: StartContext<Probe, ProbeConfig>,
): Promise<Reloaded<Probe>> {
  note('reloading');
  if (config.greeting === 'slow') await pause(1000);
  if (config.greeting === 'impossible') throw new Error('nobody can say that');
  return { handlers: handlersFor(config, context), retire: () => note('retired') };
}

async function start(
  context: StartContext<Probe, ProbeConfig>,
): Promise<StartedService<Probe, ProbeConfig>> {
  note('start');
  context.cleanup.defer(() => note('cleaned up'));
  if (context.config.greeting === 'slow start') await pause(500);
  return {
    handlers: handlersFor(context.config, context),
    resolvers: {},
    reload: (config: ProbeConfig) => reload(config, context),
  };
}

// the schema ensures this type
const parse = (value: unknown): ProbeConfig => value as ProbeConfig;

const fixedSettings = ({ fixed }: ProbeConfig) => ({ fixed });
void main({ service: probeService, schema, parse, start, fixedSettings });
