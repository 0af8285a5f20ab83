# A client of another make: resolves a private name at the given server by itself, then fetches / over TLS.
# Arguments: DNS address:port, name, port, CA file. Prints the status. Python's standard library only.
import random, socket, ssl, struct, sys

dns, name, port, ca = sys.argv[1:]
host, dns_port = dns.rsplit(":", 1)
ident = random.getrandbits(16)
question = b"".join(bytes([len(p)]) + p.encode() for p in name.split(".")) + b"\0"
query = struct.pack(">6H", ident, 0x0100, 1, 0, 0, 0) + question + struct.pack(">2H", 1, 1)
with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
    s.settimeout(3)
    s.sendto(query, (host, int(dns_port)))
    answer = s.recv(1232)
got, flags, questions, answers = struct.unpack(">4H", answer[:8])
assert got == ident and flags & 0x8400 == 0x8400 and flags & 15 == 0 and answers == 1, answer.hex()
at = 12 + len(question) + 4
at += 2 if answer[at] & 0xC0 else len(question)
kind, klass, ttl, length = struct.unpack(">HHIH", answer[at : at + 10])
assert kind == 1 and length == 4 and ttl > 0
address = socket.inet_ntoa(answer[at + 10 : at + 14])
context = ssl.create_default_context(cafile=ca)
with socket.create_connection((address, int(port)), 5) as raw, context.wrap_socket(raw, server_hostname=name) as s:
    s.sendall(f"GET / HTTP/1.1\r\nHost: {name}:{port}\r\nConnection: close\r\n\r\n".encode())
    head = b""
    while b"\r\n" not in head:
        head += s.recv(4096)
print(head.split(b" ")[1].decode())
