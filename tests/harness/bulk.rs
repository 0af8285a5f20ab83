//! A service that sends and takes many bytes, in python as its users may write one, with hashes to compare.

use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};

/// `GET /bytes/N`, `GET /sha256/N`, `GET /slow/N` (1 MiB every 50 ms), `POST /sha256`; anything else is `hello`.
const PROGRAM: &str = r#"
import hashlib, http.server, time

BLOCK = 65536

def blocks(size):
    number = 0
    while size > 0:
        block = (hashlib.sha256(number.to_bytes(8, "big")).digest() * (BLOCK // 32))[:size]
        size -= len(block)
        number += 1
        yield block

class Service(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *args):
        pass

    def answer(self, length):
        self.send_response(200)
        self.send_header("Content-Length", str(length))
        self.end_headers()

    def text(self, text):
        self.answer(len(text))
        self.wfile.write(text.encode())

    def do_GET(self):
        what, _, size = self.path.strip("/").partition("/")
        if what in ("bytes", "slow"):
            self.answer(int(size))
            for number, block in enumerate(blocks(int(size))):
                self.wfile.write(block)
                if what == "slow" and number % 16 == 15:
                    time.sleep(0.05)
        elif what == "sha256":
            digest = hashlib.sha256()
            for block in blocks(int(size)):
                digest.update(block)
            self.text(digest.hexdigest())
        else:
            self.text("hello\n")

    def do_POST(self):
        left, digest = int(self.headers["Content-Length"]), hashlib.sha256()
        while left > 0:
            data = self.rfile.read(min(left, BLOCK))
            if not data:
                return
            left -= len(data)
            digest.update(data)
        self.text(digest.hexdigest())

class Server(http.server.ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128

server = Server(("127.0.0.1", 0), Service)
print(server.server_address[1], flush=True)
server.serve_forever()
"#;

/// Ends with the test.
pub struct Bulk {
    child: Child,
    address: SocketAddr,
}

impl Bulk {
    pub fn start() -> Self {
        let started = Command::new("python3")
            .args(["-c", PROGRAM])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn();
        let mut child = started.expect("python3 starts: apt-get install python3");
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let port: u16 = line.trim().parse().expect("the service prints its port");
        Self { child, address: ([127, 0, 0, 1], port).into() }
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }
}

impl Drop for Bulk {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}
