/*
 * Signs standard input with a key of org.iotedge.Keys1, which is made when it is not there yet; with Qt 5 or Qt 6.
 * The class OrgIotedgeKeys1Interface is made of the installed interface. -N leaves out namespaces: of the two
 * interfaces of a service one would be a type and the other a namespace of the same name.
 *
 *   qt=Qt5 tools=$(pkg-config --variable=host_bins Qt5Core)
 *   # Qt 6: qt=Qt6 tools=$(pkg-config --variable=bindir Qt6Core):$(pkg-config --variable=libexecdir Qt6Core)
 *   PATH=$tools:$PATH
 *   qdbusxml2cpp -N -p keys1 /usr/share/dbus-1/interfaces/org.iotedge.Keys1.xml
 *   moc -o moc_keys1.cpp keys1.h
 *   c++ -std=c++17 -fPIC -Wall -o sign sign-qt.cpp keys1.cpp moc_keys1.cpp \
 *     $(pkg-config --cflags --libs ${qt}DBus)
 *
 *   ./sign my-key ecdsa-sha256 < message > signature
 */
#include <QtCore/QCoreApplication>
#include <QtCore/QFile>
#include <QtCore/QTextStream>

#include "keys1.h"

static int fail(const QDBusError &error) {
  QTextStream(stderr) << error.name() << ": " << error.message() << '\n';
  return 1;
}

int main(int argc, char **argv) {
  const QCoreApplication application(argc, argv);
  if (argc != 3) return 2;
  OrgIotedgeKeys1Interface keys("org.iotedge.Keys1", "/org/iotedge/Keys1",
                                QDBusConnection::systemBus());
  // every method takes a dictionary of options last; here the one that keeps a key that is there
  auto created = keys.CreateKeyPair(argv[1], {}, {}, {{"if_exists", "keep"}});
  created.waitForFinished();
  if (created.isError()) return fail(created.error());

  QFile input, output;
  input.open(stdin, QIODevice::ReadOnly);
  output.open(stdout, QIODevice::WriteOnly);
  auto signature = keys.Sign(argv[1], argv[2], input.readAll(), {});
  signature.waitForFinished();
  if (signature.isError()) return fail(signature.error());
  return output.write(signature.value()) == signature.value().size() ? 0 : 1;
}
