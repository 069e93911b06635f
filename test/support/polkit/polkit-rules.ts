import { guardedDetails, idDetails } from '../../../src/interfaces/grants.ts';
import type { AclRule } from '../../../src/service/config/common-config.ts';

/** Access control rules as a file of polkit rules that decide alone, so that both backends pass the same matrix. */
export function polkitRules(rules: readonly AclRule[]): string {
  const conditions = rules.map(({ user, group, actions, match = {} }) => {
    const who = [
      ...(user === undefined ? [] : [`subject.user == ${JSON.stringify(user)}`]),
      ...(group === undefined ? [] : [`subject.isInGroup(${JSON.stringify(group)})`]),
    ];
    const what = `(${actions.map((glob) => `${pattern(glob)}.test(action.id)`).join(' || ')})`;
    const details = Object.entries(match).map(([name, glob]) => detail(name, glob));
    const guards = Object.keys(guardedDetails)
      .filter((name) => match[name] === undefined)
      .map(guard);
    return [...who, what, ...details, ...guards].join(' && ');
  });
  return `polkit.addRule(function (action, subject) {
${conditions.map((condition) => `  if (${condition}) return polkit.Result.YES;`).join('\n')}
  return polkit.Result.NO;
});
`;
}

function pattern(glob: string): string {
  const source = glob
    .replace(/[.+^$/(){}|[\]\\]/g, '\\$&')
    .replaceAll('*', '.*')
    .replaceAll('?', '.');
  return `/^${source}$/`;
}

function detail(name: string, glob: string): string {
  const value = `String(action.lookup(${JSON.stringify(name)}))`;
  if (!idDetails.includes(name)) return `${pattern(glob)}.test(${value})`;
  const own = glob.startsWith('iotedge/') ? '' : ` && ${value}.indexOf("iotedge/") !== 0`;
  return `${pattern(glob)}.test(${value}.replace(/@[0-9]+$/, ""))${own}`;
}

function guard(name: string): string {
  const value = `(action.lookup(${JSON.stringify(name)}) || "")`;
  if (idDetails.includes(name)) return `${value}.indexOf("iotedge/") !== 0`;
  if (name === 'profile') return `!/-ca$/.test(${value})`;
  return name === 'derivation' ? `${value} == ""` : `${value} != "true"`;
}
