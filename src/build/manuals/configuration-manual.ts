import { head, paragraph, section, seeAlso, verbatim } from './roff.ts';

/** The page about configuration files, with the examples of all services by the names of these. */
export function configurationManual(examples: Readonly<Record<string, string>>): string {
  return [
    head('iotedge.yaml', 5, 'configuration of the IoT Edge services'),
    section(
      'SYNOPSIS',
      verbatim(
        Object.keys(examples)
          .map((name) => `/etc/iotedge/${name}.yaml\n/etc/iotedge/${name}.d/*.yaml`)
          .join('\n'),
      ),
    ),
    section(
      'DESCRIPTION',
      paragraph(
        'Each service reads its own file, then its drop-ins in the order of their names. Maps are merged, everything else is replaced. A missing file is an empty one, with which the service starts.',
      ),
      paragraph(
        '`iotedgectl config check` finds what a service would refuse, and what does not fit between the files. A service with a wrong configuration ends with 78 and leaves its state alone; on a reload (`systemctl reload`) it keeps the one it has. A keys.yaml with a PIN that every user can read is refused.',
      ),
      paragraph(
        'A setting behind a # below shows its default, or an example where the default stands in brackets. The files are in /usr/share/doc/iotedge-dbus/examples, schemas for editors in /usr/share/iotedge/schema.',
      ),
    ),
    ...Object.entries(examples).map(([name, text]) =>
      section(
        `${name.toUpperCase()}.YAML`,
        verbatim(text.replace(/^(# yaml-language-server.*\n#?\n?)/, '')),
      ),
    ),
    seeAlso('iotedgectl(1)', ...Object.keys(examples).map((name) => `iotedge-${name}(8)`)),
  ].join('');
}
