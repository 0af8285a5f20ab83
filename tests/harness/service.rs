//! A service of the simplest kind, for deployments that need one to reach.

use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};

/// Answers every request with `hello USER`. Lives as long as the test's process.
pub struct Hello {
    address: SocketAddr,
}

impl Hello {
    pub fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                std::thread::spawn(|| serve(stream));
            }
        });
        Self { address }
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }
}

/// Requests without a body, one after another, until the other side leaves.
fn serve(stream: TcpStream) -> Option<()> {
    let mut lines = BufReader::new(stream.try_clone().ok()?).lines();
    let mut stream = stream;
    loop {
        let mut user = String::new();
        let slow = lines.next()?.ok()?.contains(" /slow ");
        loop {
            let line = lines.next()?.ok()?;
            if line.is_empty() {
                break;
            }
            if let Some(value) = line.to_ascii_lowercase().strip_prefix("x-wandergate-user:") {
                user = value.trim().to_owned();
            }
        }
        if slow {
            drip(&mut stream)?;
            continue;
        }
        let body = format!("hello {user}\n");
        let answer = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}", body.len());
        stream.write_all(answer.as_bytes()).ok()?;
    }
}

/// Fifty bytes, one every 100 ms.
fn drip(stream: &mut TcpStream) -> Option<()> {
    stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\n").ok()?;
    for _ in 0..50 {
        std::thread::sleep(std::time::Duration::from_millis(100));
        stream.write_all(b".").ok()?;
    }
    Some(())
}
