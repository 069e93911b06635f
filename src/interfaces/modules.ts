import { defineInterface, defineService } from '../dbus/definition.ts';
import {
  describe,
  longErrors,
  managerProperties,
  operationInProgress,
  operationProperty,
  waitOption,
} from './common.ts';
import { moduleStates, moduleTypes, yesNoUnknown } from './enumerations.ts';
import { modulesNotes } from './notes.ts';

const byName = { name: 'module-name' } as const;
const sourceCheck = {
  ...byName,
  type: { oneOf: moduleTypes },
  config_json: { maxBytes: 1 << 20 },
  env: { maxBytes: 1 << 20 },
} as const;
const NotFound = 'there is no module of that name';
const Unavailable =
  'the engine or a service that is needed cannot be reached, or another operation is in progress';
const noLog = 'there is no module of that name, or it has no container yet';
const notKept = 'the log driver of its container keeps no log';
/** Errors of starting a module. */
const runErrors = {
  AlreadyExists: 'the hub has a module of that id that other software created',
  NotFound: `${NotFound}, or its image is not found`,
  NotProvisioned: 'the device has no identity',
  Unavailable,
} as const;
const control = {
  action: 'org.iotedge.modules1.control',
  details: { module: 'name' },
} as const;
const controlById = { action: 'org.iotedge.modules1.control', details: { module: 'id' } } as const;
const runById = {
  action: 'org.iotedge.modules1.run',
  details: { module: 'id', type: 'type', image: 'image', elevated: 'elevated' },
} as const;
const readLogs = { action: 'org.iotedge.modules1.read-logs', details: { module: 'name' } } as const;
const run = {
  action: 'org.iotedge.modules1.run',
  details: { module: 'name', type: 'type', image: 'image', elevated: 'elevated' },
} as const;
const runByName = {
  action: 'org.iotedge.modules1.run',
  details: { module: 'name', type: () => '', image: () => '', elevated: () => '' },
};

/** Options of an update. */
const keepOptions = { ...waitOption, keep_env: 'b', keep_auth: 'b' } as const;

/** The manager object of the Module Runtime. */
export const modulesInterface = defineInterface({
  name: 'org.iotedge.Modules1',
  doc: 'Runs Edge modules and serves them the workload API.',
  notes: modulesNotes,
  methods: {
    CreateModule: {
      doc: 'Creates a module: its identity, its image, its container. It is not started. One that cannot be created is removed again before the reply, except for an identity that was registered for it: the next call uses that, and DeleteModuleIdentity removes it. With `wait` false it stays, its State `failed`, until the same call creates it or DeleteModule removes it.',
      long: true,
      in: { name: 's', type: 's', config_json: 's', env: 'a{ss}' },
      options: waitOption,
      out: { module: 'o' },
      check: sourceCheck,
      resolve: ['image', 'elevated'],
      authorize: run,
      errors: {
        ...longErrors,
        ...runErrors,
        AlreadyExists:
          'there is a module of that name, or the hub has one that other software created',
        NotFound: 'its image is not found',
        NotSupported: 'modules of that type are not run here',
      },
    },
    UpdateModule: {
      doc: 'Replaces the configuration of a module. What the new container needs is pulled while the old one runs; then the old one is stopped and kept, and the new one is started if the old one ran. The update is good when the health check of the new container succeeds or, without one, after it has run for 10 s; a health check may take 10 minutes. If the new container cannot be created or started, ends, or is unhealthy before, it is removed and the old one runs again as before: the call is Unavailable with the reason, as is the same call until 10 s have passed, twice as long after each further failure, at most 5 minutes.',
      long: true,
      in: { name: 's', type: 's', config_json: 's', env: 'a{ss}' },
      options: keepOptions,
      out: { module: 'o' },
      check: sourceCheck,
      resolve: ['image', 'elevated'],
      authorize: run,
      errors: {
        ...longErrors,
        ...runErrors,
        AlreadyExists: 'another module has one of its names',
        NotSupported: 'modules of that type are not run here, or it is the agent',
        Unavailable: `${Unavailable}, or the new container is not good`,
      },
    },
    PrepareUpdate: {
      doc: 'Pulls the image of a module that is to be created or updated; no module is changed. It is not continued after the service has ended.',
      long: true,
      in: { name: 's', type: 's', config_json: 's', env: 'a{ss}' },
      options: keepOptions,
      check: sourceCheck,
      resolve: ['image', 'elevated'],
      authorize: run,
      errors: {
        ...longErrors,
        NotFound: 'its image is not found',
        NotSupported: 'modules of that type are not run here',
        Unavailable,
      },
    },
    Start: {
      doc: 'Starts a module and keeps it running.',
      long: true,
      in: { name: 's' },
      options: waitOption,
      check: byName,
      authorize: control,
      errors: { ...runErrors, ...longErrors },
    },
    Stop: {
      doc: 'Stops a module and keeps it stopped; it is killed after timeout_s.',
      long: true,
      in: { name: 's' },
      options: { ...waitOption, timeout_s: 'u' },
      check: byName,
      authorize: control,
      errors: { ...longErrors, NotFound, Unavailable },
    },
    Restart: {
      doc: 'Stops a module and starts it again.',
      long: true,
      in: { name: 's' },
      options: { ...waitOption, timeout_s: 'u' },
      check: byName,
      authorize: control,
      errors: { ...runErrors, ...longErrors },
    },
    DeleteModule: {
      doc: 'Removes a module and its container; with `identity` its identity at the hub, too. Its image stays.',
      long: true,
      in: { name: 's' },
      options: { ...waitOption, identity: 'b' },
      check: byName,
      authorize: runByName,
      errors: {
        ...longErrors,
        NotFound,
        NotSupported: 'it is the agent, which modules.yaml names',
        Unavailable,
      },
    },
    GetConfig: {
      doc: 'The configuration of a module as JSON, without registry passwords.',
      in: { name: 's' },
      out: { config_json: 's' },
      check: byName,
      authorize: runByName,
      errors: { NotFound },
    },
    GetLogs: {
      doc: 'Log lines of a module, UTF-8, 4 MiB at most: the newest. Standard output and standard error are one text, in the order in which the engine has them. `tail` is a number of lines, -1 for all; times are in microseconds since the epoch, 0 for none. Where the file of the engine is damaged, a line says which part of the log cannot be read. When the last update of the module was rolled back, the last lines of its container, 20 and 4 KiB at most, come first, between two lines that say so; `tail` does not count them, 0 leaves them out. They are kept in memory, until another update is tried or the service stops.',
      waits: true,
      in: { name: 's' },
      options: { tail: 'i', since: 't', until: 't', timestamps: 'b' },
      out: { log: 'ay' },
      check: byName,
      authorize: readLogs,
      errors: { NotFound: noLog, NotSupported: notKept, Unavailable },
    },
    OpenLog: {
      doc: 'Opens a log to be read without limits of size, and with `follow` the lines to come until its container ends. Returns the path of a unix socket, which takes one connection of the user of the caller within 5 s; the lines, as of GetLogs, are sent to it as fast as they are read. They end with the module and with the service, too. When the engine fails meanwhile, the last line says so. A user has at most 8 logs open, all users 64.',
      waits: true,
      in: { name: 's' },
      options: { tail: 'i', since: 't', until: 't', timestamps: 'b', follow: 'b' },
      out: { path: 's' },
      check: byName,
      authorize: readLogs,
      errors: {
        LimitsExceeded: 'the user, or all users, have too many logs open',
        NotFound: noLog,
        NotSupported: notKept,
        Unavailable,
      },
    },
    GetSystemInfo: {
      doc: 'Describes this machine and its container engine.',
      reads: true,
      waits: true,
      out: { system: 'a{sv}' },
      records: {
        system: {
          os_type: 's',
          architecture: 's',
          version: 's',
          server_version: 's',
          kernel_version: 's',
          operating_system: 's',
          cpus: 'u',
          total_memory: 't',
          virtualized: 's',
        },
      },
      values: { virtualized: yesNoUnknown },
      authorize: 'public',
    },
    GetResources: {
      doc: 'What this machine and its modules use now. A module without a container is left out, and so are all while the engine does not respond.',
      reads: true,
      waits: true,
      out: { resources: 'a{sv}' },
      records: {
        resources: {
          host_uptime: 't',
          process_uptime: 't',
          used_cpu: 'd',
          used_ram: 't',
          total_ram: 't',
          disks: 'a(sttss)',
          modules: 'a(sdttttttt)',
        },
      },
      authorize: 'public',
    },
    Cancel: {
      doc: 'Cancels the operation that is in progress for a module; its effects are undone, and its callers get Cancelled.',
      in: { id: 's' },
      check: { id: 'module-name' },
      resolve: ['operation', 'type', 'image', 'elevated'],
      authorize: {
        choose: operationInProgress,
        among: {
          '': controlById,
          Start: controlById,
          Stop: controlById,
          Restart: controlById,
          CreateModule: runById,
          UpdateModule: runById,
          PrepareUpdate: runById,
          DeleteModule: runById,
        },
      },
      errors: { NotFound: 'no operation is in progress for that module' },
    },
    Describe: describe,
  },
  properties: {
    ...managerProperties,
    Engine: {
      type: 'a{sv}',
      record: { name: 's', version: 's', reachable: 'b' },
      emits: 'true',
      doc: 'The container engine.',
    },
    Agent: {
      type: 's',
      emits: 'true',
      doc: 'The name of the agent module, `` when there is none.',
    },
  },
});

/** A module. */
export const moduleInterface = defineInterface({
  name: 'org.iotedge.Modules1.Module',
  doc: 'A module that the runtime runs.',
  properties: {
    Name: { type: 's', emits: 'const', doc: 'Its name.' },
    Type: { type: 's', values: moduleTypes, emits: 'const', doc: 'What runs it.' },
    Image: { type: 's', emits: 'true', doc: 'Its image as configured.' },
    State: {
      type: 's',
      values: moduleStates,
      emits: 'true',
      doc: 'Its state: `failed` when it could not be created or started, or has ended with an exit code and is not restarted; `backoff` while it waits for a retry; `unknown` before there is a container, and while the engine is unreachable.',
    },
    Operation: operationProperty,
    ExitCode: { type: 'i', emits: 'true', doc: 'Of the last run.' },
    StartedAt: { type: 't', emits: 'true', doc: 'Microseconds since the epoch, 0 for never.' },
    FinishedAt: { type: 't', emits: 'true', doc: 'Microseconds since the epoch, 0 for never.' },
    RestartCount: { type: 'u', emits: 'true', doc: 'How often the runtime has restarted it.' },
    RestartReason: {
      type: 's',
      emits: 'true',
      doc: 'Why the runtime has restarted it last, `` when it has not.',
    },
    Progress: { type: 'd', emits: 'true', doc: 'Of the operation in progress, 0 to 1.' },
    ProgressText: { type: 's', emits: 'true', doc: 'The current step of the operation.' },
    LastError: { type: 's', emits: 'true', doc: 'Its current problem, `` when there is none.' },
    ConfigDigest: {
      type: 's',
      emits: 'true',
      doc: 'Changes with the settings that its container is created from; a keyed hash, comparable on one device only.',
    },
    CreateOptions: {
      type: 's',
      emits: 'true',
      doc: 'Create options as JSON, without environment, labels and credentials.',
    },
  },
});

/** The Module Runtime. */
export const modulesService = defineService({
  name: 'modules',
  doc: 'Runs Edge modules and serves them the workload API.',
  busName: 'org.iotedge.Modules1',
  path: '/org/iotedge/Modules1',
  user: 'iotedge-modules',
  manager: modulesInterface,
  child: { segment: 'module', interface: moduleInterface },
  actions: {
    'org.iotedge.modules1.run': {
      description: 'Create, change and delete a module',
      message:
        'Authentication is required to create, change or delete the module "$(module)" on this device',
    },
    'org.iotedge.modules1.control': {
      description: 'Start and stop a module',
      message:
        'Authentication is required to start, stop or restart the module "$(module)" on this device',
    },
    'org.iotedge.modules1.read-logs': {
      description: 'Read the log of a module',
      message:
        'Authentication is required to read the log of the module "$(module)" on this device',
    },
  },
});
