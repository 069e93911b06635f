"""Verifies chains with the verifier of python3-cryptography.

Standard input: a JSON array of {"chain": [DER in base64, leaf first, root last], "host": NAME or null}; without a host
the leaf is that of a client. Standard output: a JSON array of "" or what is wrong.
"""

import base64
import json
import sys

from cryptography import x509
from cryptography.x509 import verification


def problem(chain, host):
    certificates = [x509.load_der_x509_certificate(base64.b64decode(der)) for der in chain]
    leaf, *between, root = certificates
    builder = verification.PolicyBuilder().store(verification.Store([root]))
    try:
        if host is None:
            builder.build_client_verifier().verify(leaf, between)
        else:
            builder.build_server_verifier(x509.DNSName(host)).verify(leaf, between)
    except verification.VerificationError as error:
        return str(error)
    return ""


print(json.dumps([problem(**each) for each in json.load(sys.stdin)]))
