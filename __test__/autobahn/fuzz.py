"""
Runs one side of the Autobahn test suite for scripts/autobahn.js (CPython 2.7).

    fuzz.py server SPEC    fuzzing server, for the client role
    fuzz.py client SPEC    fuzzing client, for the server role

The suite's own command, wstest, can neither listen on the loopback interface
alone nor pick a free port, and loses all results when a client dies before it
has asked for the reports. Here the server prints "LISTENING <port>", and the
JSON reports are written whenever the process ends: when the client has done
all cases, when standard input is closed (which is how the server is stopped,
and what happens should the parent die), or on SIGTERM.
"""

from __future__ import print_function

import json
import socket
import sys

from autobahntestsuite import fuzzing
from twisted.internet import protocol, reactor, stdio


class JsonReports(object):
    """Replaces the reports, of which only the JSON files are of use here."""

    def createReports(self, produceHtml=False, produceJson=False):
        """What the suite calls; nothing, the reports come at the end."""

    def writeReports(self):
        """Writes index.json and one file per case."""
        fuzzing.FuzzingFactory.createReports(
            self, produceHtml=False, produceJson=True)


class Server(JsonReports, fuzzing.FuzzingServerFactory):
    """The fuzzing server, as far as the reports."""


class Client(JsonReports, fuzzing.FuzzingClientFactory):
    """The fuzzing client, as far as the reports."""


class StopAtEof(protocol.Protocol):
    """Ends the process when standard input ends."""

    def connectionLost(self, reason=protocol.connectionDone):
        if reactor.running:
            reactor.stop()


def main(mode, filename):
    """Runs `mode` with the specification in the JSON file `filename`."""
    with open(filename) as f:
        spec = json.load(f)

    if mode == 'server':
        sock = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        sock.bind(('127.0.0.1', 0))
        sock.listen(50)
        sock.setblocking(False)
        port = sock.getsockname()[1]
        # The suite compares the port with the one in the Host header.
        spec['url'] = 'ws://127.0.0.1:%d' % port
        factory = Server(spec)
        reactor.adoptStreamPort(sock.fileno(), socket.AF_INET, factory)
        sock.close()
        print('LISTENING %d' % port)
    else:
        factory = Client(spec)

    stdio.StandardIO(StopAtEof())
    reactor.addSystemEventTrigger('before', 'shutdown', factory.writeReports)
    reactor.run()


if __name__ == '__main__':
    main(*sys.argv[1:])
