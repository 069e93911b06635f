/*
 * Signs standard input with a key of org.iotedge.Keys1, which is made when it is not there yet; with sdbus-c++.
 * The class Keys1_proxy is made of the installed interface:
 *
 *   sdbus-c++-xml2cpp /usr/share/dbus-1/interfaces/org.iotedge.Keys1.xml --proxy=keys1-proxy.h
 *   c++ -std=c++20 -Wall -o sign sign-sdbus-c++.cpp \
 *     -DSDBUS_CPP_MAJOR=$(pkg-config --modversion sdbus-c++ | cut -d. -f1) \
 *     $(pkg-config --cflags --libs sdbus-c++)
 *
 *   ./sign my-key ecdsa-sha256 < message > signature
 */
#include <iostream>
#include <iterator>

#include "keys1-proxy.h"

#if SDBUS_CPP_MAJOR == 1
using BusName = std::string;
#else
using BusName = sdbus::ServiceName;
#endif

class Keys : public sdbus::ProxyInterfaces<org::iotedge::Keys1_proxy> {
 public:
  Keys() : ProxyInterfaces(BusName{"org.iotedge.Keys1"}, sdbus::ObjectPath{"/org/iotedge/Keys1"}) {
    registerProxy();
  }
  ~Keys() { unregisterProxy(); }
};

int main(int argc, char **argv) {
  if (argc != 3) return 2;
  try {
    Keys keys;
    // every method takes a dictionary of options last; here the one that keeps a key that is there
    keys.CreateKeyPair(argv[1], {}, {}, {{"if_exists", sdbus::Variant{std::string{"keep"}}}});
    const std::vector<uint8_t> message{std::istreambuf_iterator<char>{std::cin}, {}};
    for (const uint8_t byte : keys.Sign(argv[1], argv[2], message, {})) std::cout.put(byte);
    return std::cout.flush() ? 0 : 1;
  } catch (const sdbus::Error &error) {
    std::cerr << error.getName() << ": " << error.getMessage() << '\n';
    return 1;
  }
}
