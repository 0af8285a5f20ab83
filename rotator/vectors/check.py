#!/usr/bin/env python3
"""Recomputes every vector of vectors.json from the rules in README.md, with the standard library alone."""

import base64
import hashlib
import hmac
import ipaddress
import json
import pathlib
import sys
import uuid

checked = 0
wrong = []


def expect(what, found, expected):
    global checked
    checked += 1
    if found != expected:
        wrong.append(f"{what}: the rules give {found}, the file says {expected}")


def enc(label, *fields):
    parts = [b"wandergate/1/" + label.encode("ascii"), *fields]
    return b"".join(len(part).to_bytes(4, "big") + part for part in parts)


def mac(key, label, *fields):
    return hmac.new(key, enc(label, *fields), hashlib.sha256).digest()


def u64(number):
    return number.to_bytes(8, "big")


def u32(number):
    return number.to_bytes(4, "big")


def first64(octets):
    return int.from_bytes(octets[:8], "big")


def device_bytes(vector):
    return uuid.UUID(vector["device"]).bytes


def phase_number(vector):
    fields = enc("phase", device_bytes(vector), vector["service"].encode("utf-8"))
    return first64(hashlib.sha256(fields).digest())


def grant_key(root, vector, epoch):
    epoch_key = mac(root, "epoch", u64(epoch))
    service = vector["service"].encode("utf-8")
    return mac(epoch_key, "grant", device_bytes(vector), service, u32(vector["generation"]))


def pick(text, tag):
    """The address that a tag names in a range, and whether that address is reserved."""
    if "-" in text:
        first, last = (int(ipaddress.IPv4Address(end)) for end in text.split("-"))
        size = last - first + 1
        return ipaddress.IPv4Address(first + first64(tag) * size // 2**64), False
    net = ipaddress.ip_network(text)
    if net.version == 4:
        address = net.network_address + first64(tag) * net.num_addresses // 2**64
        return address, address in (net.network_address, net.broadcast_address)
    host = int.from_bytes(tag, "big") >> (256 - (128 - net.prefixlen))
    address = net.network_address + host
    identifier = int(address) % 2**64
    reserved = host < 65536 or net.prefixlen <= 64 and (
        identifier == 0
        or 0x02005EFFFE000000 <= identifier <= 0x02005EFFFEFFFFFF
        or identifier >= 0xFDFFFFFFFFFFFF80 and identifier <= 0xFDFFFFFFFFFFFFFF
    )
    return address, reserved


def address(key, vector):
    fields = [vector["pool"].encode("utf-8"), u64(vector["window"])]
    found, reserved = pick(vector["range"], mac(key, "address", *fields))
    skips = 0
    while reserved and skips < 16:
        skips += 1
        found, reserved = pick(vector["range"], mac(key, "address", *fields, u32(skips)))
    return str(found), skips


def base32(octets):
    return base64.b32encode(octets).decode("ascii").rstrip("=").lower()


def window(phase, period, t):
    number = (t + phase % period) // period
    first = max(0, number * period - phase % period)
    return number, first, (number + 1) * period - phase % period


def check_keys(root, vectors):
    for v in vectors["epoch_keys"]:
        expect(f"epoch of {v['unix']}", v["unix"] // v["key_period_s"], v["epoch"])
        expect(f"epoch key {v['epoch']}", mac(root, "epoch", u64(v["epoch"])).hex(), v["key"])
    for v in vectors["purpose_keys"]:
        expect(f"purpose key {v['purpose']}", mac(root, "purpose", v["purpose"].encode("utf-8")).hex(), v["key"])
    for v in vectors["grant_keys"]:
        expect(f"grant key {v['service']} {v['epoch']}", grant_key(root, v, v["epoch"]).hex(), v["key"])
    for v in vectors["phases"]:
        expect(f"phase {v['service']}", f"{phase_number(v):016x}", v["phase"])


def check_windows(vectors):
    for v in vectors["windows"]:
        number, first, end = window(phase_number(v), v["period_s"], v["unix"])
        what = f"window of {v['unix']} every {v['period_s']}"
        expect(what, {"number": number, "start": first, "end": end}, {k: v[k] for k in ("number", "start", "end")})
        expect(f"{what}: key epoch", first // v["key_period_s"], v["epoch"])


def check_addresses(root, vectors):
    for v in vectors["addresses"]:
        found, skips = address(grant_key(root, v, v["epoch"]), v)
        expect(f"address in {v['range']}, window {v['window']}", found, v["address"])
        expect(f"skips in {v['range']}, window {v['window']}", skips, v["skips"])


def check_labels(root, vectors):
    for v in vectors["stable_labels"]:
        expect("stable label", base32(bytes.fromhex(v["random"])), v["label"])
    for v in vectors["rotating_labels"]:
        key = grant_key(root, v, v["epoch"])
        expect(f"rotating label {v['label_window']}", base32(mac(key, "label", u64(v["label_window"]))[:16]), v["label"])


def check_ttls(vectors):
    for v in vectors["ttls"]:
        _, _, end = window(phase_number(v), v["period_s"], v["unix"])
        cut = v["next_term"]
        end = min(end, cut["from"]) if cut else end
        closes = end + v["grace_s"]
        if cut and cut["cut"] == "now":
            closes = min(closes, cut["from"])
        expect(f"closes, from {v['unix']}", closes, v["closes"])
        expect(f"ttl at {v['unix']}", max(0, min(v["ttl_s"], closes - v["lead_s"] - 1 - v["unix"])), v["ttl"])


def main():
    here = pathlib.Path(__file__).resolve().parent
    path = pathlib.Path(sys.argv[1]) if len(sys.argv) > 1 else here / "vectors.json"
    vectors = json.loads(path.read_text(encoding="utf-8"))
    expect("schema", "wandergate.vectors/1", vectors["schema"])
    root = bytes.fromhex(vectors["root"])
    check_keys(root, vectors)
    check_windows(vectors)
    check_addresses(root, vectors)
    check_labels(root, vectors)
    check_ttls(vectors)
    for line in wrong:
        print(line, file=sys.stderr)
    if wrong:
        sys.exit(f"{len(wrong)} of {checked} vectors differ")
    print(f"{checked} vectors reproduced")


if __name__ == "__main__":
    main()
