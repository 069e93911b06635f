import { commands } from '../../cli/iotedgectl.ts';
import { services } from '../../cli/systemd/units.ts';
import type { ServiceDefinition } from '../../dbus/definition.ts';
import { commandManual } from './command-manual.ts';
import { bashCompletion, zshCompletion } from './completions.ts';
import { configurationManual } from './configuration-manual.ts';
import { serviceManual } from './service-manual.ts';

/** Input that the generators cannot import: the text of `--help`, and examples of configurations by service. */
export interface ManualSources {
  readonly helpText: (service: ServiceDefinition) => string;
  readonly examples: Readonly<Record<string, string>>;
}

/** The manual pages and completions, by path below `share`. */
export function manuals({ helpText, examples }: ManualSources): ReadonlyMap<string, string> {
  const pages = services.map((service): readonly [string, string] => [
    `man/man8/iotedge-${service.name}.8`,
    serviceManual(service, helpText(service)),
  ]);
  return new Map([
    ...pages,
    ['man/man1/iotedgectl.1', commandManual(commands)],
    ['man/man5/iotedge.yaml.5', configurationManual(examples)],
    ['bash-completion/completions/iotedgectl', bashCompletion(commands)],
    ['zsh/site-functions/_iotedgectl', zshCompletion(commands)],
  ]);
}
