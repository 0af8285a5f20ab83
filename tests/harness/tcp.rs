//! Raw sockets, for those who do not keep to any protocol.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

/// How a connection ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// Nobody listens.
    Refused,
    Reset,
    /// An orderly close.
    Closed,
    /// Still open, or still unanswered, when patience ran out.
    Open,
}

/// What came of sending some bytes.
#[derive(Clone, Debug)]
pub struct Met {
    pub received: Vec<u8>,
    pub end: End,
    pub after: Duration,
}

/// Connects, sends, and reads until the end or until patience runs out.
pub fn meet(to: SocketAddr, bytes: &[u8], patience: Duration) -> Met {
    let begun = Instant::now();
    let mut received = Vec::new();
    let end = match TcpStream::connect_timeout(&to, patience) {
        Err(e) if e.kind() == io::ErrorKind::ConnectionRefused => End::Refused,
        Err(e) if e.kind() == io::ErrorKind::ConnectionReset => End::Reset,
        Err(_) => End::Open,
        Ok(stream) => talk(stream, bytes, &mut received, begun + patience),
    };
    Met { received, end, after: begun.elapsed() }
}

fn talk(mut stream: TcpStream, bytes: &[u8], received: &mut Vec<u8>, until: Instant) -> End {
    // A far side that has left already shows in the read below.
    drop(stream.write_all(bytes));
    let mut buffer = [0; 4096];
    loop {
        let left = until.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return End::Open;
        }
        stream.set_read_timeout(Some(left)).unwrap();
        match stream.read(&mut buffer) {
            Ok(0) => return End::Closed,
            Ok(n) => received.extend_from_slice(&buffer[..n]),
            Err(e) if e.kind() == io::ErrorKind::ConnectionReset => return End::Reset,
            Err(e) if matches!(e.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut) => {
                return End::Open;
            }
            Err(_) => return End::Closed,
        }
    }
}
