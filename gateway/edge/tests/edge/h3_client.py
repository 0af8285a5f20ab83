"""HTTP/3 from outside, by aioquic: each play prints what it saw as one line of JSON.

Usage: h3_client.py PLAY ADDRESS PORT NAME [ARGUMENT...]
"""

import hashlib
import json
import socket
import ssl
import sys
import time

from aioquic import tls
from aioquic.buffer import Buffer, encode_uint_var
from aioquic.h3.connection import H3_ALPN, H3Connection
from aioquic.h3.events import DataReceived, HeadersReceived
from aioquic.quic.configuration import QuicConfiguration
from aioquic.quic.connection import QuicConnection
from aioquic.quic.events import (
    ConnectionTerminated,
    HandshakeCompleted,
    StopSendingReceived,
    StreamDataReceived,
    StreamReset,
)
from aioquic.quic.rangeset import RangeSet

PATIENCE = 30
QUIET = 1.5


class Answer:
    def __init__(self):
        self.heads = []
        self.body = hashlib.sha256()
        self.length = 0
        self.ended = False
        self.reset = None

    def told(self):
        head = dict(self.heads[0]) if self.heads else {}
        return {
            "status": int(head.get(":status", 0)),
            "head": head,
            "heads": len(self.heads),
            "trailers": dict(self.heads[-1]) if len(self.heads) > 1 else {},
            "length": self.length,
            "sha256": self.body.hexdigest(),
            "ended": self.ended,
            "reset": self.reset,
        }


class Client:
    """One connection over one socket."""

    def __init__(self, address, port, name, is_bare=False, shows=None, **options):
        self.name = name
        configuration = QuicConfiguration(
            is_client=True,
            alpn_protocols=options.pop("alpn", H3_ALPN),
            verify_mode=ssl.CERT_NONE,
            server_name=name or None,
            **options,
        )
        if shows:
            configuration.load_cert_chain(*shows)
        self.quic = QuicConnection(configuration=configuration)
        self.server = (address, port)
        self.open_socket()
        self.sent = self.received = 0
        self.answers = {}
        # What the server says on its own streams, since aioquic passes over some of it.
        self.said = {}
        self.is_up = False
        self.closed = None
        self.quic.connect(self.server, now=time.time())
        self.http = None if is_bare else H3Connection(self.quic)

    def open_socket(self):
        family = socket.AF_INET6 if ":" in self.server[0] else socket.AF_INET
        self.socket = socket.socket(family, socket.SOCK_DGRAM)

    def flush(self):
        for datagram, _ in self.quic.datagrams_to_send(now=time.time()):
            self.socket.sendto(datagram, self.server)
            self.sent += len(datagram)

    def pump(self, until, patience=PATIENCE):
        """Carries datagrams until it is so, or the connection is over; tells whether it is so."""
        end = time.time() + patience
        self.flush()
        while not until():
            if self.closed is not None or time.time() > end:
                return False
            timer = self.quic.get_timer()
            wait = min(max((timer or end) - time.time(), 0.001), 0.05)
            self.socket.settimeout(wait)
            try:
                datagram, _ = self.socket.recvfrom(65536)
                self.received += len(datagram)
                self.quic.receive_datagram(datagram, self.server, now=time.time())
            except TimeoutError:
                pass
            if timer is not None and timer <= time.time():
                self.quic.handle_timer(now=time.time())
            self.take()
            self.flush()
        return True

    def take(self):
        while (event := self.quic.next_event()) is not None:
            if isinstance(event, HandshakeCompleted):
                self.is_up = True
            elif isinstance(event, ConnectionTerminated):
                self.closed = event.error_code
            elif isinstance(event, StreamReset):
                self.answer(event.stream_id).reset = event.error_code
                self.answer(event.stream_id).ended = True
            elif isinstance(event, StreamDataReceived) and event.stream_id % 4 == 3:
                self.said[event.stream_id] = self.said.get(event.stream_id, b"") + event.data
            elif isinstance(event, StopSendingReceived):
                self.answer(event.stream_id).stopped = event.error_code
            for heard in self.http.handle_event(event) if self.http else ():
                answer = self.answer(heard.stream_id)
                if isinstance(heard, HeadersReceived):
                    answer.heads.append([(n.decode(), v.decode()) for n, v in heard.headers])
                elif isinstance(heard, DataReceived):
                    answer.body.update(heard.data)
                    answer.length += len(heard.data)
                answer.ended |= heard.stream_ended

    def answer(self, stream):
        return self.answers.setdefault(stream, Answer())

    def head(self, method, path, more=()):
        fields = [(":method", method), (":scheme", "https"), (":authority", self.name), (":path", path), *more]
        return [(name.encode(), value.encode()) for name, value in fields]

    def ask(self, method="GET", path="/", more=(), body=None, trailers=None, fields=None):
        stream = self.quic.get_next_available_stream_id()
        is_last = body is None and trailers is None
        self.http.send_headers(stream, fields or self.head(method, path, more), end_stream=is_last)
        if body is not None:
            self.http.send_data(stream, body, end_stream=trailers is None)
        if trailers is not None:
            self.http.send_headers(stream, trailers, end_stream=True)
        return stream

    def whole(self, stream):
        self.pump(lambda: self.answer(stream).ended)
        return self.answer(stream).told()

    def up(self):
        return self.pump(lambda: self.is_up)

    def goaways(self):
        """The requests that the server's GOAWAYs named, in order."""
        named = []
        for data in self.said.values():
            buffer = Buffer(data=data)
            if buffer.pull_uint_var() != 0:
                continue
            while not buffer.eof():
                kind, payload = buffer.pull_uint_var(), buffer.pull_bytes(buffer.pull_uint_var())
                if kind == 7:
                    named.append(Buffer(data=payload).pull_uint_var())
        return named

    def until_closed(self):
        self.pump(lambda: False)
        return self.closed

    def raw(self, stream, data, end=False):
        self.quic.send_stream_data(stream, data, end)


def frame(kind, payload):
    return encode_uint_var(kind) + encode_uint_var(len(payload)) + payload


def get(client, path="/", times="1"):
    answers = [client.whole(client.ask(path=path)) for _ in range(int(times))]
    return answers[-1] | {"all": [answer["status"] for answer in answers]}


def ask(client, method, path, *fields):
    more = [tuple(field.split("=", 1)) for field in fields]
    return client.whole(client.ask(method, path, more))


def post(client, length, *trailers):
    body = bytes(i % 251 for i in range(int(length)))
    fields = [tuple(part.encode() for part in trailer.split("=", 1)) for trailer in trailers] or None
    answer = client.whole(client.ask("POST", "/", body=body, trailers=fields))
    return answer | {"sent": hashlib.sha256(body).hexdigest()}


def fields(client, text):
    """A request of exactly those fields, and then a good one."""
    listed = [(n.encode("latin1"), v.encode("latin1")) for n, v in json.loads(text)]
    first = client.whole(client.ask(fields=listed))
    return {"first": first, "then": get(client), "closed": client.closed}


def promised(client, length, told):
    """A body that is not as long as its head says."""
    body = bytes(int(length))
    first = client.whole(client.ask("POST", "/", [("content-length", told)], body=body))
    return {"first": first, "then": get(client)}


def quiet(client):
    """Sends what it sends in a moment; whatever comes back is counted."""
    client.pump(lambda: False, QUIET)
    return {"sent": client.sent, "received": client.received, "up": client.is_up, "closed": client.closed}


def turned_away(client):
    """Waits for the end that it is told."""
    return {"closed": client.until_closed(), "up": client.is_up}


def shows(address, port, name, *pair):
    """Asks with a certificate and its key, if there are any."""
    client = Client(address, port, name, shows=pair)
    return get(client) | {"closed": client.closed}


class WebSocket:
    """A stream after an extended CONNECT; what was said on it, and what came back."""

    def __init__(self, client, protocol="websocket"):
        client.up()
        client.pump(lambda: client.http.received_settings is not None)
        self.client, self.sent, self.length = client, hashlib.sha256(), 0
        fields = [
            (":method", "CONNECT"), (":protocol", protocol), (":scheme", "https"), (":authority", client.name),
            (":path", "/chat"), ("sec-websocket-version", "13"), ("sec-websocket-protocol", "chat"),
        ]
        self.stream = client.quic.get_next_available_stream_id()
        client.http.send_headers(self.stream, [(name.encode(), value.encode()) for name, value in fields])
        client.pump(lambda: self.answer.heads or self.answer.ended)

    @property
    def answer(self):
        return self.client.answer(self.stream)

    def echoes(self, length):
        """Whether so many bytes come back."""
        data = bytes((self.length + i) % 251 for i in range(length))
        self.sent.update(data)
        self.length += length
        self.client.http.send_data(self.stream, data, end_stream=False)
        return self.client.pump(lambda: self.answer.length >= self.length)

    def told(self):
        return self.answer.told() | {"sent": self.sent.hexdigest(), "closed": self.client.closed}


def websocket(client, *lengths):
    """Says so much, each time that what it said before has come back; then ends its half."""
    one = WebSocket(client)
    for length in lengths:
        one.echoes(int(length))
    if not one.answer.ended:
        client.http.send_data(one.stream, b"", end_stream=True)
        client.pump(lambda: one.answer.ended)
    return one.told() | {"announced": client.http.received_settings.get(8)}


def other_protocol(client, protocol):
    one = WebSocket(client, protocol)
    client.pump(lambda: one.answer.ended)
    return one.told() | {"then": get(client)}


def websocket_with_trailers(client):
    """After an extended CONNECT, nothing but bodies may come."""
    one = WebSocket(client)
    one.echoes(5)
    client.raw(one.stream, frame(1, b"\0\0\xd1"))
    return {"closed": client.until_closed()}


def stay_on_websocket(client):
    """Has something echoed whenever a line comes; says whether it was, and how the connection ended."""
    one = WebSocket(client)
    for _ in sys.stdin:
        print(json.dumps({"echoed": one.echoes(5), "goaways": client.goaways()}), flush=True)
    client.pump(lambda: False)
    return {"closed": client.closed, "goaways": client.goaways()}


def leave(client):
    """Asks; at the first line it withdraws, and goes."""
    client.up()
    stream = client.ask()
    client.pump(lambda: False, 0.1)
    sys.stdin.readline()
    client.quic.reset_stream(stream, 0x10C)
    client.quic.stop_stream(stream, 0x10C)
    client.quic.close(0x100)
    client.pump(lambda: False, 1)
    return {"closed": client.closed}


def first_flight(address, port, name, **options):
    client = Client(address, port, name, **options)
    return [bytes(datagram) for datagram, _ in client.quic.datagrams_to_send(now=time.time())]


def send(address, port, datagrams):
    """A socket that has sent those datagrams, each twice."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    out = socket.socket(family, socket.SOCK_DGRAM)
    for datagram in datagrams * 2:
        out.sendto(datagram, (address, port))
    return out


def heard(out):
    """How many bytes came there."""
    total = 0
    out.setblocking(False)
    try:
        while True:
            total += len(out.recv(65536))
    except BlockingIOError:
        return total


def probes(address, port, name):
    """What scanners send. Nothing of it names the address."""
    initial = first_flight(address, port, "stranger.example")[0]
    version = initial[:1] + bytes.fromhex("1a2a3a4a") + initial[5:]
    draft = initial[:1] + bytes.fromhex("ff00001d") + initial[5:]
    second = initial[:1] + bytes.fromhex("6b3343cf") + initial[5:]
    bent = initial[:-1] + bytes([initial[-1] ^ 1])
    seen = {
        "another version": [version],
        "a draft": [draft],
        "version 2": [second],
        "a name of nobody": [initial],
        "a bent packet": [bent],
        "a short datagram": [initial[:600]],
        "a packet of no connection": [b"\x40" + bytes(range(60)), b"\x7f" * 1200],
        "a handshake of no connection": [b"\xe0" + initial[1:]],
        "early data of no connection": [b"\xd0" + initial[1:]],
        "a retry": [b"\xf0" + initial[1:]],
        "noise": [b"", b"\0", b"\xff" * 1200, b"GET / HTTP/1.1\r\n\r\n", b"\xc0\0\0\0\1"],
    }
    if name:
        # An answer to half of a good one would come before the name.
        seen["half of a greeting"] = halves(address, port, name)[:1]
    outs = {what: send(address, port, datagrams) for what, datagrams in seen.items()}
    time.sleep(QUIET)
    return {what: heard(out) for what, out in outs.items()}


def halves(address, port, name):
    """A ClientHello too long for one datagram: two of them."""
    many = [f"h{i:040d}" for i in range(35)]
    flight = first_flight(address, port, name, alpn=["h3", *many])
    assert len(flight) == 2, [len(datagram) for datagram in flight]
    return flight


def long_hello(address, port, name):
    """The same, answered; whichever half comes first."""
    many = [f"h{i:040d}" for i in range(35)]
    told = []
    for is_turned in (False, True):
        client = Client(address, port, name, alpn=["h3", *many])
        flight = [bytes(datagram) for datagram, _ in client.quic.datagrams_to_send(now=time.time())]
        for datagram in reversed(flight) if is_turned else flight:
            client.socket.sendto(datagram, client.server)
        told.append(get(client)["status"])
    return told


def amplified(address, port, name):
    """A greeting whose sender never answers: as many bytes as come back."""
    told = {}
    for what, options in {"short": {}, "long": {"alpn": ["h3", *[f"h{i:040d}" for i in range(35)]]}}.items():
        flight = first_flight(address, port, name, **options)
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        with socket.socket(family, socket.SOCK_DGRAM) as out:
            for datagram in flight:
                out.sendto(datagram, (address, port))
            time.sleep(QUIET)
            told[what] = {"sent": sum(map(len, flight)), "received": heard(out)}
    return told


def flood(address, port, name, times):
    """Greetings whose senders never answer, and then one who does; what came back to each kind."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    kinds = set()
    with socket.socket(family, socket.SOCK_DGRAM) as out:

        def listen(patience):
            out.settimeout(patience)
            try:
                while True:
                    first = out.recv(65536)[0]
                    kinds.add({0xC0: "initial", 0xE0: "handshake", 0xF0: "retry"}.get(first & 0xF0, "data"))
            except (TimeoutError, BlockingIOError):
                pass

        for _ in range(int(times)):
            for datagram in first_flight(address, port, name):
                out.sendto(datagram, (address, port))
            listen(0)
        listen(QUIET)
    client = Client(address, port, name)
    return {"kinds": sorted(kinds), "then": get(client), "retried": client.quic._retry_count}


def violations(address, port, name):
    """Each on a connection of its own: the code with which it ends."""
    control, encoder, decoder = b"\0", b"\2", b"\3"
    settings = frame(4, b"")
    cases = {
        "no settings": ([control + frame(7, b"\0")], []),
        "settings twice": ([control + settings + settings], []),
        "settings of http2": ([control + frame(4, b"\2\0")], []),
        "a body on the control stream": ([control + settings + frame(0, b"x")], []),
        "two control streams": ([control + settings, control + settings], []),
        "a push stream": ([b"\1\0"], []),
        "a table that was not announced": ([encoder + b"\x3f\xe1\x1f"], []),
        "a count that was not announced": ([decoder + b"\x01"], []),
        "a body before its head": ([], [frame(0, b"x")]),
        "settings on a request": ([], [settings]),
        "a frame of http2": ([], [frame(2, b"\0" * 5)]),
        "a reference to a table": ([], [frame(1, b"\2\0\x80")]),
        "a frame that is cut": ([], [encode_uint_var(1) + encode_uint_var(9) + b"x"]),
        "a control frame without end": ([control + settings + encode_uint_var(7) + encode_uint_var(1 << 40)], []),
        "skipped bytes without end": ([], [frame(0x21, b"x" * 1000) * 20]),
    }
    told = {}
    for what, (unis, bidis) in cases.items():
        client = Client(address, port, name, is_bare=True)
        client.up()
        for data in unis:
            client.raw(client.quic.get_next_available_stream_id(is_unidirectional=True), data)
        for data in bidis:
            client.raw(client.quic.get_next_available_stream_id(), data, end=True)
        told[what] = client.until_closed()
    return told


def resets(client, times):
    """Asks and withdraws at once, again and again."""
    client.up()
    asked = 0
    for _ in range(int(times)):
        stream = client.ask()
        client.quic.reset_stream(stream, 0x10C)
        client.quic.stop_stream(stream, 0x10C)
        asked += 1
        client.pump(lambda: False, 0.005)
        if client.closed is not None:
            break
    client.pump(lambda: False, 5)
    return {"closed": client.closed, "asked": asked}


def promises(client):
    """A head that is said to be huge, sent as far as anybody takes it."""
    client.up()
    stream = client.quic.get_next_available_stream_id()
    client.raw(stream, encode_uint_var(1) + encode_uint_var(1 << 40) + bytes(8 << 20))
    answer = client.whole(stream)
    return answer | {"then": get(client)}


def move(client):
    """Asks, goes on from another port, again and again."""
    told = []
    for _ in range(8):
        told.append(get(client)["status"])
        client.open_socket()
    return told


def optimist(client):
    """Acknowledges what was never sent (CVE-2025-4821 and its like)."""
    get(client)
    space = client.quic._spaces[tls.Epoch.ONE_RTT]
    space.ack_queue = RangeSet([range(0, 1 << 20)])
    space.ack_at = space.largest_received_time = time.time()
    client.ask()
    return {"closed": client.until_closed()}


def stay(client):
    """Asks whenever a line comes; says what it got, and how the connection ended."""
    for _ in sys.stdin:
        told = get(client) if client.closed is None else {"status": 0}
        print(json.dumps(told | {"closed": client.closed}), flush=True)
    client.pump(lambda: False)
    return {"closed": client.closed, "goaways": client.goaways()}


def main():
    play, address, port, name, *rest = sys.argv[1:]
    plain = {"probes", "long_hello", "amplified", "flood", "violations", "shows"}
    function = globals()[play]
    if play in plain:
        print(json.dumps(function(address, int(port), name, *rest)), flush=True)
        return
    client = Client(address, int(port), name)
    print(json.dumps(function(client, *rest)), flush=True)
    if client.is_up and client.closed is None:
        client.quic.close(0x100)
        client.flush()


main()
