"""Starts a service as systemd does: passes it sockets, and keeps those that it hands over.

usage: service-manager.py LAUNCHER DIRECTORY    commands and events are lines of JSON
"""
import fcntl
import json
import os
import selectors
import socket
import sys

launcher, directory = sys.argv[1:]
notify_path = os.path.join(directory, "notify")
notify = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
notify.bind(notify_path)
os.chmod(notify_path, 0o666)
listeners, store = [], []


def say(**event):
    print(json.dumps(event), flush=True)


def listen(name, path):
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    listener.bind(path)
    os.chmod(path, 0o666)
    listener.listen(64)
    listeners.append((name, listener.detach()))
    say(listening=path)


def spoil():
    """Replaces every stored socket by something that listens nowhere."""
    for _, fd in store:
        other = os.open("/dev/null", os.O_RDONLY)
        os.dup2(other, fd, inheritable=False)
        os.close(other)
    say(spoilt=len(store))


def start():
    passed = listeners + store
    if (pid := os.fork()) > 0:
        say(started=pid)
        return
    copies = [fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, 200) for _, fd in passed]
    for index, fd in enumerate(copies):
        os.dup2(fd, 3 + index)
    names = ":".join(name for name, _ in passed)
    variables = f"LISTEN_PID=$$ LISTEN_FDS={len(passed)} LISTEN_FDNAMES='{names}' NOTIFY_SOCKET='{notify_path}'"
    with open(launcher) as file:
        text = file.read().replace("env -i ", f"env -i {variables} ", 1)
    os.execvp("sh", ["sh", "-c", text])


def receive():
    data, fds, _, _ = socket.recv_fds(notify, 65536, 16)
    message = data.decode()
    fields = dict(line.split("=", 1) for line in message.split("\n"))
    name = fields.get("FDNAME", "")
    if "FDSTORE" in fields:
        store.extend((name, fd) for fd in fds)
    if "FDSTOREREMOVE" in fields:
        for _, fd in (removed := [entry for entry in store if entry[0] == name]):
            os.close(fd)
        for entry in removed:
            store.remove(entry)
    say(message=message, stored=[name for name, _ in store])


selector = selectors.DefaultSelector()
selector.register(notify, selectors.EVENT_READ, receive)
selector.register(sys.stdin, selectors.EVENT_READ, None)
say(ready=True)
while True:
    for key, _ in selector.select():
        if key.data is not None:
            key.data()
            continue
        if (line := sys.stdin.readline()) == "":
            sys.exit(0)
        command, *arguments = json.loads(line)
        {"listen": listen, "spoil": spoil, "start": start}[command](*arguments)
