const offline = 'component/systemd-units/offline';
const agreement = 'component/systemd-units/agreement';
const sandbox = 'component/systemd-units/sandbox';
const units = 'system/booted/units';

export default [
  {
    breaks: 'the memory of the runtime grows by an arena of malloc for each thread',
    text: "iotedge-modules.cjs\n# V8's compiler threads leave an arena each behind, in MiB; nothing here waits for malloc.\nEnvironment=MALLOC_ARENA_MAX=1\n",
    becomes: 'iotedge-modules.cjs\n',
    suite: agreement,
  },
  {
    breaks: 'the self-check of Certificates does not miss its network namespace',
    text: '  start: startCertificates,\n',
    becomes: "  unconfined: ['private_network'],\n  start: startCertificates,\n",
    suite: agreement,
  },
  {
    breaks: 'a bus without systemd starts a service by itself',
    text: 'Exec=/bin/false',
    becomes: 'Exec=/bin/true',
    suite: 'unit/build/derived/derived-files',
  },
  {
    breaks: 'the bus starts a unit that does not exist',
    text: 'SystemdService=iotedge-${name}.service',
    becomes: 'SystemdService=dbus-${name}.service',
    suite: 'unit/build/derived/derived-files',
  },
  {
    breaks: 'an idle exit is killed while calls are pending',
    text: 'const pendingCallsMs = { idle: 10_000, stopped: 3000 };',
    becomes: 'const pendingCallsMs = { idle: 20_000, stopped: 3000 };',
    suite: agreement,
  },
  {
    breaks: 'systemd does not know a directive',
    text: 'OOMPolicy=continue',
    becomes: 'OOMRule=continue',
    suite: offline,
  },
  {
    breaks: 'a user of a service is not made',
    text: 'u iotedge-identity - "IoT Edge Identity service"',
    becomes: '',
    suite: offline,
  },
  {
    breaks: 'a group that a unit names is not made',
    text: 'g docker -',
    becomes: '',
    suite: offline,
  },
  {
    breaks: 'the directory of the services belongs to everybody',
    text: 'd /var/lib/iotedge 0755 root root -',
    becomes: 'd /var/lib/iotedge 0777 root root -',
    suite: offline,
  },
  {
    breaks: 'a unit owns the name of another service',
    text: 'BusName=org.iotedge.Identity1',
    becomes: 'BusName=org.iotedge.Keys1',
    suite: agreement,
  },
  {
    breaks: 'configurations with the older path of certificates find no state',
    text: 'StateDirectory=iotedge/certificates:iotedge/cs',
    becomes: 'StateDirectory=iotedge/certificates',
    suite: agreement,
  },
  {
    breaks: 'the runtime is given up when it fails for half a minute',
    text: 'StartLimitBurst=10',
    becomes: 'StartLimitBurst=4',
    suite: agreement,
  },
  {
    breaks: 'modules find no socket where modules.yaml has none',
    text: 'ListenStream=/var/lib/iotedge/workload.sock',
    becomes: 'ListenStream=/run/iotedge/workload.sock',
    suite: agreement,
  },
  {
    breaks: 'the runtime cannot tell its sockets apart',
    text: 'FileDescriptorName=workload',
    becomes: 'FileDescriptorName=management',
    suite: agreement,
  },
  {
    breaks: 'everybody may use the management API',
    text: 'SocketMode=0660',
    becomes: 'SocketMode=0666',
    suite: agreement,
  },
  {
    breaks: 'the runtime ends with the engine',
    text: 'After=docker.service containerd.service',
    becomes: 'BindsTo=docker.service',
    suite: agreement,
  },
  {
    breaks: 'a device without network does not start',
    text: 'Description=IoT Edge Identity service: the identity of this device in the cloud',
    becomes: 'After=network-online.target',
    suite: agreement,
  },
  {
    breaks: 'the runtime sees no uid of a caller',
    text: 'PrivateUsers=no',
    becomes: 'PrivateUsers=yes',
    suite: sandbox,
  },
  {
    breaks: 'an exception from the sandbox has no reason',
    text: '# GetSystemInfo reports what /proc/cpuinfo shows.\n',
    becomes: '',
    suite: sandbox,
  },
  {
    breaks: 'a program runs from the state directory of Keys',
    text: 'NoExecPaths=/var/lib/iotedge/keys /tmp /var/tmp /dev/shm',
    becomes: 'NoExecPaths=/',
    suite: 'system/booted/sandbox',
  },
  {
    breaks: 'the runtime starts in a loop while a client waits at a socket',
    text: 'StartLimitIntervalSec=30s\nStartLimitBurst=10\n',
    becomes: 'StartLimitIntervalSec=0\n',
    suite: units,
  },
  {
    breaks: 'a token of SoftHSM is closed to Keys, with its drop-in too',
    text: 'SupplementaryGroups=softhsm',
    becomes: '',
    suite: units,
  },
  {
    breaks: 'Keys gets no encrypted PIN with the drop-in',
    text: 'LoadCredentialEncrypted=iotedge-keys.encrypted-pin',
    becomes: '',
    suite: units,
  },
];
