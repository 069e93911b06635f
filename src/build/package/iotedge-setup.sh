#!/bin/sh
# Does what an installation of IoT Edge needs beside its files. It may be repeated at any time, also in a chroot without
# systemd, a bus or /proc, where it does what is possible there.
# usage: iotedge-setup [users|node|reload]
#   users   the users and groups of the services, and root's directories above theirs
#   node    the link to the newest suitable Node, and the code that it makes of the programs
#   reload  the bus and systemd read their configuration again
# Without an argument: all of them, in this order.
set -eu
unset NODE_OPTIONS NODE_EXTRA_CA_CERTS NODE_PATH

programs=/usr/lib/iotedge/bin
# 20.19.0, as number_of writes it
oldest=20019000

say() { echo "iotedge-setup: $*" >&2; }

# systemd's programs need /proc in some versions.
run_systemd() { command -v "$1" >/dev/null 2>&1 && "$@" 2>/dev/null; }

make_user() {
  if id -u "$1" >/dev/null 2>&1; then return 0; fi
  if getent group "$1" >/dev/null; then set -- "$1" --gid "$1"; else set -- "$1" --user-group; fi
  name=$1
  shift
  useradd --system "$@" --no-create-home --home-dir / --shell /usr/sbin/nologin "$name"
}

make_group() { getent group "$1" >/dev/null || groupadd --system "$1"; }

users() {
  run_systemd systemd-sysusers iotedge.conf || while read -r type name _; do
    case $type in
      u) make_user "$name" ;;
      g) make_group "$name" ;;
    esac
  done </usr/lib/sysusers.d/iotedge.conf
  run_systemd systemd-tmpfiles --create iotedge.conf || while read -r type path mode owner group _; do
    [ "$type" != d ] || install -d -m "$mode" -o "$owner" -g "$group" "$path"
  done </usr/lib/tmpfiles.d/iotedge.conf
}

# Prints what users other than root can change: of a path, the links that it leads through and the directories above.
changeable() (
  path=$1
  while [ -n "$path" ]; do
    find "$path" -maxdepth 0 '(' ! -uid 0 -o ! -type l -perm /022 ')'
    if [ -L "$path" ]; then
      link=$(readlink "$path")
      case $link in /*) ;; *) link=${path%/*}/$link ;; esac
      changeable "$link"
    fi
    path=${path%/*}
  done
)

# Whether root can run a program without running what another user put there, and the services see it.
is_trusted() {
  target=$(readlink -f "$1")
  case $target in
    /usr/* | /opt/* | "${programs%/bin}"/*) ;;
    *)
      say "$1 is not used: it leads to $target, which is neither in /usr nor in /opt"
      return 1
      ;;
  esac
  path=$(changeable "$1" | head -n 1)
  if [ -z "$path" ]; then return 0; fi
  say "$1 is not used: users other than root can change $path"
  return 1
}

# The version of a Node as a number; nothing when it does not run here.
number_of() {
  version=$(timeout 30 "$1" --version 2>/dev/null) || return 0
  case $version in v[0-9]*.[0-9]*.[0-9]*) ;; *) return 0 ;; esac
  IFS=. read -r major minor patch <<END
${version#v}
END
  echo $((major * 1000000 + minor * 1000 + ${patch%%[!0-9]*}))
}

# Sets `best` to the Node of the newest version. In a chroot for another processor none runs: then it is the first one.
choose_node() {
  best='' newest=$((oldest - 1)) unknown=''
  for node in /usr/lib/iotedge/node/bin/node /usr/bin/node; do
    if [ ! -x "$node" ] || ! is_trusted "$node"; then continue; fi
    number=$(number_of "$node")
    if [ -z "$number" ]; then
      unknown=${unknown:-$node}
    elif [ "$number" -gt "$newest" ]; then
      best=$node newest=$number
    fi
  done
  best=${best:-$unknown}
}

node() {
  choose_node
  if [ -n "$best" ]; then
    # a program that starts meanwhile finds the old link or the new one
    ln -sfn "$best" "$programs/node.new"
    mv -fT "$programs/node.new" "$programs/node"
  elif [ ! -x "$programs/node" ] || ! is_trusted "$programs/node"; then
    # root's own programs run it, too
    rm -f "$programs/node"
    say "no Node 20.19 or newer: install one, or make $programs/node a link to one in /usr or /opt"
    return 1
  fi
  # of makers that were killed
  rm -f /usr/lib/iotedge/lib/*.cache.*
  if [ -z "$(number_of "$programs/node")" ]; then return 0; fi
  timeout 300 "$programs/node" "$programs/iotedge-code-cache.cjs" || say "programs start slower until it succeeds"
}

reload_bus() {
  if command -v busctl >/dev/null; then
    timeout 60 busctl --quiet call org.freedesktop.DBus /org/freedesktop/DBus org.freedesktop.DBus ReloadConfig
  else
    timeout 60 dbus-send --system --print-reply --dest=org.freedesktop.DBus /org/freedesktop/DBus \
      org.freedesktop.DBus.ReloadConfig >/dev/null
  fi
}

# The bus refuses names to users that it did not know when it read its configuration, so that comes before any start.
reload() {
  if [ -S /run/dbus/system_bus_socket ]; then
    reload_bus || say 'the bus did not reload: until it does, or a reboot, it refuses the names of new services'
  fi
  if [ -d /run/systemd/system ]; then systemctl daemon-reload; fi
}

case ${1-all} in
  users | node | reload) "$1" ;;
  all)
    users
    node
    reload
    ;;
  *)
    sed -n '/^# usage/,/^#.*order/s/^# *//p' "$0" >&2
    exit 2
    ;;
esac
