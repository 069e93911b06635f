/** The units that reload a server when a published certificate was replaced: names in, files out. */
import { ServiceError } from '../../errors.ts';
import type { CertificateId } from '../../ids.ts';
import { quoted } from '../../quoted.ts';
import { fileNameOf } from '../../service/state/file-name.ts';

/** A server that is reloaded for a certificate. */
export interface Watch {
  readonly id: CertificateId;
  /** A service unit. */
  readonly reload: string;
  readonly publishDir: string;
}

/** Three units of one name, and their files. */
export interface WatchUnits {
  /** Without the type. */
  readonly name: string;
  readonly files: ReadonlyMap<string, string>;
}

/** The beginning of every such file. */
export const watchHeader = "# Written by 'iotedgectl certificates watch ";
/** The beginning of the name of every such unit. */
export const watchPrefix = 'iotedge-watch-';
/** Below the state directory of systemd's services: for each watch a file with the version that its server has read. */
export const reloadsDirectory = 'iotedge/reloads';
/** The types of the units of a watch, in the order in which they are stopped: first what starts the service. */
export const watchTypes = ['path', 'timer', 'service'] as const;
/** The longest name that systemd accepts, without the type. */
const maxName = 255 - '.service'.length;
/**
 * The link is read before the reload, so a swap during it makes another one. What is written at last is what the server
 * has read for certain.
 */
const script = [
  'while now=$(readlink "$1") && [ "$now" != "$(cat "$2" 2>/dev/null)" ]; do',
  'systemctl try-reload-or-restart -- "$3" && echo "$now" >"$2.new" && mv -f "$2.new" "$2" || exit 1;',
  'done',
].join(' ');

/** The service unit that a user names, with its type; InvalidArgs for anything else. */
export function parseServiceUnit(text: string): string {
  const unit = /\.[a-z]+$/.test(text) ? text : `${text}.service`;
  if (/^[A-Za-z0-9:_][A-Za-z0-9:_.@\\-]*\.service$/.test(unit) && unit.length <= 255) return unit;
  throw new ServiceError('InvalidArgs', `${quoted(text)} is not the name of a service unit`);
}

/** InvalidArgs for names that no unit can have. */
export function watchUnits({ id, reload, publishDir }: Watch): WatchUnits {
  if (!/^[A-Za-z0-9/_.+=,@:-]+$/.test(publishDir)) {
    const problem = `the path ${quoted(publishDir)} cannot be written into units of systemd`;
    throw new ServiceError('InvalidArgs', problem);
  }
  const name = watchName(id, reload);
  if (name.length > maxName) {
    throw new ServiceError('InvalidArgs', `the name of the unit ${name} would be too long`);
  }
  const home = `${publishDir}/${fileNameOf(id, '')}`;
  const head = `${watchHeader}${id} --reload ${reload}'.
[Unit]
Description=`;
  const service = `${head}Reload of ${reload} after the certificate ${id} was replaced
# What triggers it is changed by the Certificates service alone, and a limit would end the watch.
StartLimitIntervalSec=0

[X-IoTEdge]
Certificate=${id}
Link=${home}/current
Reload=${reload}

[Service]
Type=oneshot
StateDirectory=${reloadsDirectory}
StateDirectoryMode=0755
UMask=0022
ExecStart=/bin/sh -c '${script.replaceAll('$', '$$$$')}' watch ${home}/current %S/${reloadsDirectory}/%N ${reload.replaceAll('\\', '\\\\')}
`;
  const path = `${head}Watch on the certificate ${id} for ${reload}

[Path]
# The link in it is replaced by one rename; a watch on the link itself would miss that.
PathChanged=${home}

[Install]
WantedBy=paths.target
`;
  const timer = `${head}Hourly look at the certificate ${id} for ${reload}

[Timer]
# What happens during a daemon-reload is lost to the path unit.
OnCalendar=hourly
RandomizedDelaySec=5min

[Install]
WantedBy=timers.target
`;
  const files = new Map([
    [`${name}.service`, service],
    [`${name}.path`, path],
    [`${name}.timer`, timer],
  ]);
  return { name, files };
}

/** The name of the units of a watch, without the type. */
export function watchName(id: CertificateId, reload: string): string {
  return `${watchPrefix}${escaped(id)}-${escaped(reload.replace(/\.service$/, ''))}`;
}

/** The server of a watch on a certificate, in the text of one of its files; undefined for any other text. */
export function reloadOf(id: string, text: string): string | undefined {
  const [head = ''] = text.split('\n', 1);
  const start = `${watchHeader}${id} --reload `;
  return head.startsWith(start) && head.endsWith("'.") ? head.slice(start.length, -2) : undefined;
}

/** As systemd-escape(1): the result has no `-` but for `/`. */
function escaped(text: string): string {
  return text.replace(/[^A-Za-z0-9:_.]/g, (character) =>
    character === '/' ? '-' : `\\x${character.charCodeAt(0).toString(16).padStart(2, '0')}`,
  );
}
