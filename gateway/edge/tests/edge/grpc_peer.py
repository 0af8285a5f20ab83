"""gRPC by grpcio, both ends: `serve` is the service, every other word a play of its client. Bytes are their own messages.

Usage: grpc_peer.py serve                               prints its port, and a line for each call that is cancelled
       grpc_peer.py PLAY ADDRESS PORT NAME CA_FILE      asserts, and prints what the test wants to know
"""

import concurrent.futures
import sys
import threading
import time

import grpc

SERVICE = "test.Bytes"
LARGE = 3 * 1024 * 1024


def say(text):
    print(text, flush=True)


class Bytes(grpc.GenericRpcHandler):
    def service(self, call):
        method = call.method.rsplit("/", 1)[-1]
        metadata = dict(call.invocation_metadata)
        kinds = {
            "Unary": grpc.unary_unary_rpc_method_handler,
            "Down": grpc.unary_stream_rpc_method_handler,
            "Up": grpc.stream_unary_rpc_method_handler,
            "Both": grpc.stream_stream_rpc_method_handler,
        }
        if method not in kinds:
            return None
        handler = getattr(self, method.lower())
        return kinds[method](lambda request, context: handler(request, context, metadata))

    def unary(self, message, context, metadata):
        if message == b"fail":
            context.set_trailing_metadata((("why", "as asked"), ("detail-bin", b"\x00\xff")))
            context.abort(grpc.StatusCode.FAILED_PRECONDITION, "not 100% fine \u00e9")
        if message == b"hang":
            ended = threading.Event()
            context.add_callback(ended.set)
            say("hangs")
            ended.wait(60)
            say("cancelled")
            return b""
        context.send_initial_metadata((("head", metadata.get("user_id", "")),))
        context.set_trailing_metadata((("user", metadata.get("x-wandergate-user", "")), ("tail-bin", b"\x01\x02")))
        return message

    def down(self, message, context, metadata):
        count, size = map(int, message.split())
        for number in range(count):
            yield bytes([number % 256]) * size

    def up(self, messages, context, metadata):
        return str(sum(len(message) for message in messages)).encode()

    def both(self, messages, context, metadata):
        for message in messages:
            yield message[::-1]


def serve():
    options = [("grpc.max_receive_message_length", 2 * LARGE)]
    server = grpc.server(concurrent.futures.ThreadPoolExecutor(64), handlers=[Bytes()], options=options)
    say(server.add_insecure_port("127.0.0.1:0"))
    server.start()
    server.wait_for_termination()


class Client:
    def __init__(self, address, port, name, ca):
        options = [
            ("grpc.ssl_target_name_override", name),
            ("grpc.default_authority", name),
            ("grpc.max_receive_message_length", 2 * LARGE),
            ("grpc.enable_retries", 0),
        ]
        credentials = grpc.ssl_channel_credentials(open(ca, "rb").read())
        self.channel = grpc.secure_channel(f"ipv4:{address}:{port}", credentials, options)
        self.unary = self.channel.unary_unary(f"/{SERVICE}/Unary")
        self.down = self.channel.unary_stream(f"/{SERVICE}/Down")
        self.up = self.channel.stream_unary(f"/{SERVICE}/Up")
        self.both = self.channel.stream_stream(f"/{SERVICE}/Both")


def error_of(call):
    try:
        call()
    except grpc.RpcError as error:
        return error
    raise AssertionError("it was answered")


def all_kinds(client):
    answer, call = client.unary.with_call(b"hello", timeout=30, metadata=(("user_id", "u1"), ("key-bin", b"\xfe")))
    assert answer == b"hello" and call.code() == grpc.StatusCode.OK
    assert dict(call.initial_metadata())["head"] == "u1", call.initial_metadata()
    trailing = dict(call.trailing_metadata())
    assert (trailing["user"], trailing["tail-bin"]) == ("alice", b"\x01\x02"), trailing
    assert client.unary(b"", timeout=30) == b"", "an empty message is one"
    large = bytes(range(256)) * (LARGE // 256)
    assert client.unary(large, timeout=60) == large
    assert [len(m) for m in client.down(b"500 1000", timeout=60)] == [1000] * 500
    assert [len(m) for m in client.down(b"3 1000000", timeout=60)] == [1000000] * 3
    assert list(client.down(b"0 0", timeout=30)) == [], "a stream of none"
    assert client.up((b"x" * 1000 for _ in range(1000)), timeout=60) == b"1000000"
    assert client.up(iter(()), timeout=30) == b"0"
    # Each message only when the one before has come back: nothing on the way may wait for more.
    back, turn = threading.Semaphore(0), []

    def messages():
        for number in range(100):
            yield b"%d!" % number
            assert back.acquire(timeout=30)

    for answer in client.both(messages(), timeout=60):
        turn.append(answer)
        back.release()
    assert turn == [(b"%d!" % n)[::-1] for n in range(100)]
    futures = [client.unary.future(b"%d" % n, timeout=60) for n in range(200)]
    assert [f.result() for f in futures] == [b"%d" % n for n in range(200)]
    say("all kinds")


def errors(client):
    error = error_of(lambda: client.unary(b"fail", timeout=30))
    assert error.code() == grpc.StatusCode.FAILED_PRECONDITION, error
    assert error.details() == "not 100% fine \u00e9", error.details()
    trailing = dict(error.trailing_metadata())
    assert (trailing["why"], trailing["detail-bin"]) == ("as asked", b"\x00\xff"), trailing
    unknown = error_of(lambda: client.channel.unary_unary(f"/{SERVICE}/Nothing")(b"", timeout=30))
    assert unknown.code() == grpc.StatusCode.UNIMPLEMENTED, unknown
    begun = time.monotonic()
    late = error_of(lambda: client.unary(b"hang", timeout=1))
    assert late.code() == grpc.StatusCode.DEADLINE_EXCEEDED and time.monotonic() - begun < 20, late
    call = client.unary.future(b"hang", timeout=60)
    time.sleep(0.5)
    call.cancel()
    assert call.cancelled()
    assert client.unary(b"still here", timeout=30) == b"still here"
    say("errors")


def refused(client):
    error = error_of(lambda: client.unary(b"hello", timeout=30))
    say(f"{error.code().name}: {error.details()}")


def main(play, *rest):
    if play == "serve":
        return serve()
    client = Client(*rest)
    {"all_kinds": all_kinds, "errors": errors, "refused": refused}[play](client)
    client.channel.close()


main(*sys.argv[1:])
