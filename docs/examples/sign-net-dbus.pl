# Signs standard input with a key of org.iotedge.Keys1, which is made when it is not there yet; with Net::DBus.
#
#   perl sign-net-dbus.pl my-key ecdsa-sha256 < message > signature
use strict;
use warnings;
use Net::DBus qw(:typing);

my ($key_id, $mechanism) = @ARGV;
my $service = Net::DBus->system->get_service('org.iotedge.Keys1');
my $keys = $service->get_object('/org/iotedge/Keys1', 'org.iotedge.Keys1');
# every method takes a dictionary of options last; here the one that keeps a key that is there
$keys->CreateKeyPair($key_id, [], [], { if_exists => dbus_string('keep') });
binmode $_ for *STDIN, *STDOUT;
my $message = do { local $/; <STDIN> };
print pack 'C*', @{ $keys->Sign($key_id, $mechanism, [ unpack 'C*', $message ], {}) };
