/** Who may do what: the interface tables, the grants between the services, rules, and polkit. */

const tables = 'component/interfaces/authorization';
const grants = 'unit/interfaces/grants';
const rules = 'unit/service/authorization/rules';
const order = 'unit/service/authorization/authorization';
const backend = 'unit/service/authorization/polkit-backend';
const cache = 'unit/service/authorization/verdict-cache';
const protocol = 'integration/service/polkit-protocol';
const warnings = 'unit/service/config/rule-warnings';
const accounts = 'component/service/accounts';
const audit = 'unit/service/authorization/audit';

const mutant = (suite) => (breaks, text, becomes) => ({ breaks, text, becomes, suite });

/** One mutant for each part of a text that is left out. */
const without = (suite, breaks, text, parts) =>
  parts.map((part) => ({
    breaks: `${breaks} (${part.replace(/[\s,]+/g, ' ').trim()})`,
    text,
    becomes: text.replace(part, ''),
    suite,
  }));

const table = mutant(tables);

const certificates = [
  ...without(
    tables,
    'Issue is authorized with all of its details',
    "details: ['certificate_id', 'issuer', 'profile'] }",
    ["'certificate_id', ", "'issuer', ", ", 'profile'"],
  ),
  ...without(tables, 'a CA is issued by issue-ca alone', "['device-ca', 'workload-ca'];", [
    "'device-ca', ",
    ", 'workload-ca'",
  ]),
  ...without(
    tables,
    'ExportCertificate is authorized with all of its details',
    "details: ['certificate_id', 'format'],",
    ["'certificate_id', ", ", 'format'"],
  ),
  table(
    'ImportCertificate is authorized with the id',
    "authorize: { action: 'org.iotedge.certificates1.import', details: ['certificate_id'] },",
    "authorize: { action: 'org.iotedge.certificates1.import', details: [] },",
  ),
  table(
    'DeleteCertificate is authorized with the id',
    "authorize: { action: 'org.iotedge.certificates1.delete', details: ['certificate_id'] },",
    "authorize: { action: 'org.iotedge.certificates1.delete', details: [] },",
  ),
  table(
    'polkit allows no user to issue without a rule',
    '\'Authentication is required to issue the certificate "$(certificate_id)" for this device\',',
    "'Issue $(certificate_id)', defaults: { any: 'yes', inactive: 'yes', active: 'yes' },",
  ),
];

/** Rows of grants: their text, the id they are about, and a wider one. */
const rows = [
  [
    "user: 'iotedge-certificates',\n    action: 'org.iotedge.keys1.sign',\n    match: { key_id: 'device-ca' },",
    'device-ca',
    'device-*',
  ],
  [
    "user: 'iotedge-identity', action: 'org.iotedge.keys1.sign', match: { key_id: 'device-id' }",
    'device-id',
    '*',
  ],
  ...['create', 'encrypt', 'decrypt'].map((verb) => [
    `user: 'iotedge-modules',\n    action: 'org.iotedge.keys1.${verb}',\n    match: { key_id: 'iotedge/module-encryption' },`,
    'iotedge/module-encryption',
    'iotedge/module-*',
  ]),
  [
    "user: 'iotedge-modules',\n    action: 'org.iotedge.certificates1.issue',\n    match: { certificate_id: 'iotedge/module/*' },",
    'iotedge/module/*',
    'iotedge/*',
  ],
];
const modulesSign =
  "user: 'iotedge-modules',\n    action: 'org.iotedge.keys1.sign',\n    match: { ...moduleKeys, derivation: '?*' },";
const identitySign =
  "user: 'iotedge-identity',\n    action: 'org.iotedge.keys1.sign',\n    match: { ...moduleKeys, derivation: '?*' },";
const identityExport =
  "action: 'org.iotedge.keys1.export',\n    match: { ...moduleKeys, derivation: '?*' },";
const ownIssuer = "match: { certificate_id: 'iotedge/module/*', issuer: 'iotedge/workload-ca' },";
const grant = mutant(grants);
const guards = {
  elevated: "  elevated: (value) => value === '' || value === 'false',\n",
  profile: "  profile: (value) => !value.endsWith('-ca'),\n",
  derivation: "  derivation: (value) => value === '',\n",
  adopt: "  adopt: (value) => value === '' || value === 'false',\n",
  key_id: '  key_id: isNotReserved,\n',
  certificate_id: '  certificate_id: isNotReserved,\n',
  issuer: '  issuer: isNotReserved,\n',
};

const grantRows = [
  ...rows.flatMap(([text, id, wider]) => {
    const [, user] = /user: '([a-z-]+)'/.exec(text);
    const [, action] = /action: '([a-z0-9.-]+)'/.exec(text);
    return [
      grant(`${user} may ${action} "${id}" alone`, text, text.replace(`'${id}'`, `'${wider}'`)),
      grant(`${user} may ${action} "${id}"`, text, text.replace(user, 'iotedge-none')),
    ];
  }),
  grant(
    'iotedge-modules signs only with the key of modules',
    modulesSign,
    modulesSign.replace('{ ...moduleKeys, derivation', '{ derivation'),
  ),
  grant(
    'iotedge-modules signs with every key',
    modulesSign,
    modulesSign.replace("{ ...moduleKeys, derivation: '?*' }", '{}'),
  ),
  grant(
    'iotedge-modules signs with derived keys alone',
    modulesSign,
    modulesSign.replace("'?*'", "'*'"),
  ),
  grant(
    'iotedge-modules may not export',
    modulesSign,
    modulesSign.replace('keys1.sign', 'keys1.*'),
  ),
  grant(
    'iotedge-identity signs with derived keys of modules alone',
    identitySign,
    identitySign.replace("'?*'", "'*'"),
  ),
  grant(
    'iotedge-identity exports derived keys alone',
    identityExport,
    identityExport.replace("'?*'", "'*'"),
  ),
  grant(
    'iotedge-identity creates only the key of modules',
    "action: 'org.iotedge.keys1.create', match: moduleKeys }",
    "action: 'org.iotedge.keys1.create', match: {} }",
  ),
  grant(
    'iotedge-modules issues for modules alone with the own CA',
    ownIssuer,
    ownIssuer.replace("'iotedge/module/*'", "'*'"),
  ),
  grant(
    'iotedge-modules issues with no reserved CA except that of workloads',
    ownIssuer,
    ownIssuer.replace('iotedge/workload-ca', 'iotedge/*'),
  ),
  grant(
    'iotedge-modules gets no token of the device',
    "action: 'org.iotedge.identity1.provision', match: {} }",
    "action: 'org.iotedge.identity1.*', match: {} }",
  ),
  grant(
    'iotedge-modules may adopt',
    "match: { module_id: '*', adopt: '*' }",
    "match: { module_id: '*' }",
  ),
  ...Object.entries(guards).map(([name, text]) => ({
    breaks: `a rule that does not name ${name} covers only what is harmless`,
    text,
    becomes: '',
    suite: rules,
  })),
  ...without(
    rules,
    'ids that begin with iotedge/ are reserved',
    "['key_id', 'certificate_id', 'issuer'];",
    ["'key_id', ", "'certificate_id', ", ", 'issuer'"],
  ),
];

const identity = [
  ...without(
    tables,
    'managing an identity is authorized with all details',
    "details: ['module_id', 'adopt'] }",
    ["'module_id', ", ", 'adopt'"],
  ),
  ...without(
    tables,
    'cancelling an operation on an identity is authorized with all details',
    "details: { module_id: 'id', adopt: 'adopt' }",
    ["module_id: 'id', ", ", adopt: 'adopt'"],
  ),
  ...without(
    tables,
    'CreateSasToken is authorized with all details',
    "details: ['module_id', 'audience'],",
    ["'module_id', ", ", 'audience'"],
  ),
  table(
    'a token of the device needs sign-device',
    "text['module_id'] === ''\n",
    "text['module_id'] === '$device'\n",
  ),
  table(
    'cancelling a creation is authorized as the creation',
    'CreateModuleIdentity: manageById,',
    'CreateModuleIdentity: provision,',
  ),
  table(
    'cancelling no operation is authorized as provisioning',
    "'': provision,",
    "'': manageById,",
  ),
];

const newPair = `          key_id: 'key_id',
          algorithm: (text) => text['algorithms'] || 'ec-p256,rsa-2048',
          usages: (text) => text['usages'] || 'sign',
          exportable: 'exportable',`;
const newKey = `  key_id: 'key_id',
  algorithm: 'algorithm',
  usages: (text) => text['usages'] || (text['algorithm'] === 'aes-256' ? 'encrypt' : 'sign'),
  exportable,`;
const replaces = "          when: (text) => text['if_exists'] === 'replace',\n";
const keys = [
  ...without(
    tables,
    'CreateKeyPair is authorized with all details',
    newPair,
    newPair.split(/(?<=,\n)/),
  ),
  ...without(tables, 'a new key is authorized with all details', newKey, newKey.split(/(?<=,\n)/)),
  table(
    'usages and algorithm of a new key are not swapped',
    newKey,
    newKey.replace("algorithm: 'algorithm'", "algorithm: 'usages'"),
  ),
  table(
    'a base key with exportable derived keys is exportable',
    " || text['export_derived'] === 'true'",
    '',
  ),
  table(
    'an exportable key is shown as exportable',
    "text['exportable'] === 'true' || text",
    'text',
  ),
  ...without(
    tables,
    'the use of a key is authorized with all details',
    "details: ['key_id', 'mechanism', 'derivation'],",
    ["'key_id', ", "'mechanism', ", ", 'derivation'"],
  ),
  ...without(
    tables,
    'ExportKey is authorized with all details',
    "details: ['key_id', 'format', 'derivation'],",
    ["'key_id', ", "'format', ", ", 'derivation'"],
  ),
  table('ImportKey that replaces a key needs delete', replaces, '          when: () => false,\n'),
  table('ImportKey that replaces no key does not need delete', replaces, ''),
  table(
    "ImportKey requests delete for the key's id",
    "          action: 'org.iotedge.keys1.delete',\n          details: ['key_id'],",
    "          action: 'org.iotedge.keys1.delete',\n          details: [],",
  ),
  table(
    'ImportKey needs import',
    "{ action: 'org.iotedge.keys1.import', details: newKey }",
    "{ action: 'org.iotedge.keys1.create', details: newKey }",
  ),
  table(
    'DeleteKey is authorized with the id',
    "authorize: { action: 'org.iotedge.keys1.delete', details: ['key_id'] },",
    "authorize: { action: 'org.iotedge.keys1.delete', details: [] },",
  ),
  table('Sign needs sign', "authorize: use('sign')", "authorize: use('verify')"),
  table('Decrypt needs decrypt', "authorize: use('decrypt')", "authorize: use('encrypt')"),
];

const run = "details: { module: 'name', type: 'type', image: 'image', elevated: 'elevated' }";
const runById = "details: { module: 'id', type: 'type', image: 'image', elevated: 'elevated' }";
const config = 'authorize: runByName,\n      errors: { NotFound }';
const modules = [
  ...without(tables, 'CreateModule is authorized with all details', run, [
    "module: 'name', ",
    "type: 'type', ",
    "image: 'image', ",
    ", elevated: 'elevated'",
  ]),
  ...without(tables, 'cancelling CreateModule is authorized with all details', runById, [
    "module: 'id', ",
    "type: 'type', ",
    "image: 'image', ",
    ", elevated: 'elevated'",
  ]),
  table(
    'control is authorized with the module',
    "  details: { module: 'name' },\n} as const;",
    '  details: {},\n} as const;',
  ),
  table(
    'GetLogs and OpenLog are authorized with the module',
    "'org.iotedge.modules1.read-logs', details: { module: 'name' } }",
    "'org.iotedge.modules1.read-logs', details: {} }",
  ),
  table('cancelling a creation needs run', 'CreateModule: runById,', 'CreateModule: controlById,'),
  table('GetConfig needs run', config, config.replace('runByName', 'control')),
  table('GetConfig is not public', config, config.replace('runByName', "'public'")),
];

const at = {
  accounts: mutant(accounts),
  audit: mutant(audit),
  backend: mutant(backend),
  cache: mutant(cache),
  order: mutant(order),
  protocol: mutant(protocol),
  rules: mutant(rules),
  warnings: mutant(warnings),
};
const decidedKey = 'decided ${uid} ${request.action} ${id} ${verdict}';
const ownOrRotated = 'return idGlobMatches(glob, value) || idGlobMatches(glob, unrotated(value));';
const limits = '{ perUid: 2, total: 8, slowPerUid: 1, slowTotal: 4 }';

const service = [
  at.accounts(
    'a number stands for itself',
    'if (/^[0-9]{1,10}$/.test(name)) return Number(name);\n',
    '',
  ),
  at.accounts(
    'getent is not started where it is not allowed',
    'if (local !== undefined || !this.#usesGetent) return local;',
    'if (local !== undefined) return local;',
  ),
  at.accounts(
    'the files of the machine come before getent',
    'if (local !== undefined || !this.#usesGetent) return local;',
    'if (!this.#usesGetent) return local;',
  ),
  at.accounts(
    'a group is not looked up among users',
    "return this.#find('group', name);",
    "return this.#find('passwd', name);",
  ),
  at.warnings(
    'unknown names are reported only of rules in force',
    "if (backend !== 'acl') return [];\n",
    '',
  ),
  at.warnings(
    'an unknown group is reported',
    "...(gid === undefined ? [unknown('group', group)] : []),",
    '',
  ),
  at.audit('a decision is recorded for each user', decidedKey, decidedKey.replace('${uid} ', '')),
  at.audit(
    'a decision is recorded for each verdict',
    decidedKey,
    decidedKey.replace(' ${verdict}', ''),
  ),
  at.audit(
    'a decision is recorded for each action',
    decidedKey,
    decidedKey.replace('${request.action} ', ''),
  ),
  at.audit(
    'a denial is recorded with its reason',
    'id, verdict, ...reasonOf(error) }',
    'id, verdict }',
  ),
  at.audit(
    'a denial because of a broken polkit is a warning',
    "level: broken ? 'warn' : 'info'",
    "level: 'info'",
  ),
  at.order(
    'root may do everything',
    'if (uid === 0 || uid === this.#ownUid)',
    'if (uid === this.#ownUid)',
  ),
  at.order(
    "only root and the service's own user may do everything",
    'if (uid === 0 || uid',
    'if (uid < 100 || uid',
  ),
  at.order(
    'the grants of a service need no backend',
    'if (this.#granted.allows(call.caller, request)) return undefined;\n',
    '',
  ),
  at.protocol(
    'grants of the configuration apply',
    'RuleSet.fromGrants(here, config.grants, local)',
    'RuleSet.fromGrants(here, [], local)',
  ),
  at.protocol('a denial is cached for at most 1 s', 'noMs: Math.min(yesMs, 1000)', 'noMs: yesMs'),
  at.protocol('no verdict survives a reload', '} else this.#polkit.renew(lifetimes);', '}'),
  at.protocol(
    'verdicts of a caller that left are dropped',
    'callers.onVanish(({ sender }) => polkit.evict(sender));\n',
    '',
  ),
  at.protocol(
    'polkit decides about the caller',
    "{ name: variant('s', sender) }",
    "{ name: variant('s', this.#bus.uniqueName) }",
  ),
  at.protocol(
    'polkit is given the details',
    'request.action, request.details, flags',
    'request.action, {}, flags',
  ),
  at.protocol(
    'no person is asked unless the caller permits it',
    'const flags = interactive ? allowUserInteraction : 0;',
    'const flags = allowUserInteraction;',
  ),
  at.protocol(
    'a temporary authorization is used once',
    "Object.hasOwn(details, 'polkit.temporary_authorization_id') ? 'yes-once' : 'yes'",
    "'yes'",
  ),
  at.protocol(
    'an authorization that is also a challenge is not accepted',
    'if (authorized && challenge) {',
    'if (false) {',
  ),
  at.protocol(
    'verdicts are dropped when polkit emits Changed',
    'await this.#bus.subscribe(changed, onChange);',
    '',
  ),
  at.protocol(
    'verdicts are dropped when polkit restarts',
    'this.#ownerChanges++;\n      onChange();',
    'this.#ownerChanges++;',
  ),
  at.protocol(
    'a request that was lost with polkit is repeated',
    'if (!restarted || options.signal.aborted) throw error;',
    'throw error;',
  ),
  at.protocol(
    'a pending question to a person is cancelled',
    'if (interactive && !(error instanceof BusError)) this.#cancel(id);',
    '',
  ),
  at.backend('a verdict is for one connection', '`${sender}\\0${action}`', 'action'),
  at.backend('a verdict is for one action', '`${sender}\\0${action}`', 'sender'),
  at.backend('a verdict is for certain details', '`\\0${name}\\0${details[name]}`', '`\\0${name}`'),
  at.backend(
    'a verdict is for details with certain names',
    '`\\0${name}\\0${details[name]}`',
    '`\\0${details[name]}`',
  ),
  at.backend(
    'a cached denial denies',
    'if (cached === false) throw denied(request);',
    'if (cached === false) return undefined;',
  ),
  at.backend(
    'a caller that permits no question to a person is refused',
    'if (!call.interactive) throw interactionRequired(request);\n',
    '',
  ),
  at.backend(
    'a challenge after a person was asked is a denial',
    "if (result !== 'yes' && result !== 'yes-once') throw denied(request);",
    "if (result === 'no') throw denied(request);",
  ),
  at.backend(
    'a change drops every verdict',
    '.watch(() => this.#cache.evictAll())',
    '.watch(() => undefined)',
  ),
  at.backend(
    'a missing polkit denies',
    "return new ServiceError('AccessDenied', message, { cause: error });",
    "return new ServiceError('Unavailable', message, { cause: error });",
  ),
  at.backend(
    'the reason why polkit failed is reported',
    "return new ServiceError('AccessDenied', message, { cause: error });",
    "return new ServiceError('AccessDenied', message);",
  ),
  at.backend(
    'requests are limited per uid of the caller',
    'this.#limiter.run({ uid: caller.uid, slow: false',
    'this.#limiter.run({ uid: 0, slow: false',
  ),
  at.rules(
    'a rule with user and group requires both',
    '(rule.uid === undefined || rule.uid === caller.uid) && ruleAllows(rule, request)',
    'ruleAllows(rule, request)',
  ),
  at.rules(
    'a rule of an unknown user is void',
    'if (user !== undefined && uid === undefined) continue;',
    '',
  ),
  at.rules(
    'every group of the caller counts',
    'caller.gids.some((gid) =>',
    'caller.gids.slice(0, 1).some((gid) =>',
  ),
  at.rules(
    'a built-in grant applies to its details alone',
    '({ user, actions: [action], match })',
    '({ user, actions: [action] })',
  ),
  at.rules(
    'a rule covers its actions alone',
    'if (!rule.actions.some((glob) => globMatches(glob, action))) return false;',
    '',
  ),
  at.rules(
    'a missing detail matches nothing',
    'if (value === undefined || !detailMatches(name, glob, value)) return false;',
    'if (value !== undefined && !detailMatches(name, glob, value)) return false;',
  ),
  at.rules(
    'each detail that a rule does not name is guarded',
    '!Object.hasOwn(rule.match, name) && !isHarmless',
    'Object.keys(rule.match).length === 0 && !isHarmless',
  ),
  at.rules(
    'a rule covers the rotated names of an id',
    ownOrRotated,
    'return idGlobMatches(glob, value);',
  ),
  at.rules(
    'a rule covers a rotated name that it names',
    ownOrRotated,
    'return idGlobMatches(glob, unrotated(value));',
  ),
  at.rules(
    'only a glob with the reserved prefix covers reserved ids',
    ownOrRotated,
    'return globMatches(glob, value) || globMatches(glob, unrotated(value));',
  ),
  at.warnings(
    'an action without a method is reported',
    'covered(glob).length > 0',
    'covered(glob).length >= 0',
  ),
  at.warnings(
    'a detail that the actions do not have is reported',
    'filter((name) => !known.has(name))',
    'filter(() => false)',
  ),
  at.backend(
    'two requests of a uid are sent concurrently',
    limits,
    limits.replace('perUid: 2', 'perUid: 3'),
  ),
  at.backend(
    'one question to a person is pending per uid',
    limits,
    limits.replace('slowPerUid: 1', 'slowPerUid: 2'),
  ),
  at.backend(
    'four questions to people are pending at once',
    limits,
    limits.replace('slowTotal: 4', 'slowTotal: 5'),
  ),
  at.cache(
    'a verdict expires',
    'if (now < verdict.until) return verdict.allowed;',
    'if (now <= verdict.until) return verdict.allowed;',
  ),
  at.cache(
    'a denial has its own expiry',
    'allowed ? this.lifetimes.yesMs : this.lifetimes.noMs',
    'this.lifetimes.yesMs',
  ),
  at.backend(
    'a reply from before a change is not cached',
    'if (lifetime <= 0 || generation !== this.#generation) return;',
    'if (lifetime <= 0) return;',
  ),
  at.cache(
    'the verdicts of a caller that left are dropped',
    'for (const key of this.#keysBySender.get(sender) ?? []) this.#verdicts.delete(key);\n',
    '',
  ),
];

export default [...certificates, ...grantRows, ...identity, ...keys, ...modules, ...service];
