# Speaks HTTP/3 by aioquic: asks for a page once, or greets from sources that it invents. Prints what came of it as JSON.
# Arguments: address, port, name, then "get", or "flood" and a number.
import json, random, socket, ssl, sys, time

from aioquic.h3.connection import H3_ALPN, H3Connection
from aioquic.h3.events import HeadersReceived
from aioquic.quic.configuration import QuicConfiguration
from aioquic.quic.connection import QuicConnection
from aioquic.quic.events import ConnectionTerminated

address, port, name, play, *rest = sys.argv[1:]
server = (address, int(port))


def connection(alpn=H3_ALPN, name=name):
    configuration = QuicConfiguration(
        is_client=True, alpn_protocols=alpn, verify_mode=ssl.CERT_NONE, server_name=name
    )
    quic = QuicConnection(configuration=configuration)
    quic.connect(server, now=time.time())
    return quic


def get():
    quic, out, told, is_over = connection(), socket.socket(socket.AF_INET, socket.SOCK_DGRAM), {}, False
    http, end = H3Connection(quic), time.time() + 20
    fields = {":method": "GET", ":scheme": "https", ":authority": name, ":path": "/"}
    http.send_headers(
        quic.get_next_available_stream_id(), [(n.encode(), v.encode()) for n, v in fields.items()], end_stream=True
    )
    while not is_over and time.time() < end:
        for datagram, _ in quic.datagrams_to_send(now=time.time()):
            out.sendto(datagram, server)
        out.settimeout(0.02)
        try:
            quic.receive_datagram(out.recv(65536), server, now=time.time())
        except TimeoutError:
            pass
        if (timer := quic.get_timer()) is not None and timer <= time.time():
            quic.handle_timer(now=time.time())
        while (event := quic.next_event()) is not None:
            is_over |= isinstance(event, ConnectionTerminated)
            for heard in http.handle_event(event):
                if isinstance(heard, HeadersReceived):
                    told.update({n.decode(): v.decode() for n, v in heard.headers})
                is_over |= heard.stream_ended
    quic.close(0x100)
    for datagram, _ in quic.datagrams_to_send(now=time.time()):
        out.sendto(datagram, server)
    return {"status": int(told.get(":status", 0)), "alt-svc": told.get("alt-svc")}


def flood(count):
    # A few of each kind, sent from ever new sources: each is an attempt of its own to whoever hears it.
    many = ["h3", *[f"h{i:040d}" for i in range(35)]]
    kinds = {"whole": {}, "half": {"alpn": many}, "stranger's": {"name": "stranger.example"}}
    flights = []
    for what, options in kinds.items():
        for _ in range(12):
            first = [bytes(datagram) for datagram, _ in connection(**options).datagrams_to_send(now=time.time())]
            flights.append(first[:1] if what == "half" else first)
    sent = 0
    while sent < int(count):
        for flight in flights:
            source = f"127.{random.randint(1, 254)}.{random.randint(1, 254)}.{random.randint(1, 254)}"
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as out:
                out.bind((source, 0))
                for datagram in flight:
                    out.sendto(datagram, server)
                    sent += 1
    return {"sent": sent}


print(json.dumps(get() if play == "get" else flood(*rest)))
