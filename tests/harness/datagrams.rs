//! Numbered datagrams to somebody who sends them back, and whether each of them comes, once, from there.

use std::collections::BTreeSet;
use std::net::{SocketAddr, UdpSocket};
use std::time::Duration;

/// What has not come back after so long is lost.
const PATIENCE: Duration = Duration::from_secs(20);
const HEAD: usize = 12;

/// A client with one socket.
pub struct Numbered {
    socket: UdpSocket,
    to: SocketAddr,
    next: u64,
}

/// Sends each back, on this port of loopback, in the network in which it is called. Lives as long as the test's process.
pub fn echo(port: u16) {
    let socket = UdpSocket::bind(("127.0.0.1", port)).unwrap();
    std::thread::spawn(move || {
        let mut buffer = [0; 2048];
        while let Ok((length, from)) = socket.recv_from(&mut buffer) {
            drop(socket.send_to(&buffer[..length], from));
        }
    });
}

impl Numbered {
    /// The socket belongs to the network in which this is called.
    pub fn to(to: SocketAddr) -> Self {
        let any = if to.is_ipv6() { "[::]:0" } else { "0.0.0.0:0" };
        Self { socket: UdpSocket::bind(any).unwrap(), to, next: 0 }
    }

    /// How many have come back.
    pub fn count(&self) -> u64 {
        self.next
    }

    /// Sends so many of this size together; gives them back when each has come back.
    ///
    /// # Errors
    /// What was lost, or came from elsewhere, twice, or changed.
    pub fn exchange(&mut self, count: u64, size: usize) -> Result<(), String> {
        let mut missing: BTreeSet<u64> = (self.next..self.next + count).collect();
        for number in &missing {
            self.send(*number, size).map_err(|e| format!("{number}: {e}"))?;
        }
        self.next += count;
        let mut buffer = [0; 2048];
        while !missing.is_empty() {
            let Some((length, from)) = self.receive(&mut buffer, PATIENCE) else {
                return Err(format!("lost, to {}: {missing:?}", self.to));
            };
            if from != self.to {
                return Err(format!("{from} answers for {}", self.to));
            }
            let number = u64::from_be_bytes(buffer[4..HEAD].try_into().unwrap());
            if buffer[..length] != self.datagram(number, size) || !missing.remove(&number) {
                return Err(format!("{number} of {length} bytes was not sent, or came twice"));
            }
        }
        Ok(())
    }

    /// Whether one comes back in a moment.
    pub fn is_answered(&mut self) -> bool {
        drop(self.send(self.next, HEAD));
        self.receive(&mut [0; 2048], Duration::from_secs(2)).is_some()
    }

    fn send(&self, number: u64, size: usize) -> std::io::Result<usize> {
        self.socket.send_to(&self.datagram(number, size), self.to)
    }

    fn receive(&self, buffer: &mut [u8], patience: Duration) -> Option<(usize, SocketAddr)> {
        self.socket.set_read_timeout(Some(patience)).unwrap();
        self.socket.recv_from(buffer).ok()
    }

    /// It begins as one of RTP does (version 2, PCMU), so that whoever expects such takes it.
    fn datagram(&self, number: u64, size: usize) -> Vec<u8> {
        let [.., high, low] = number.to_be_bytes();
        let mut bytes = vec![0x80, 0, high, low];
        bytes.extend_from_slice(&number.to_be_bytes());
        bytes.resize(size.max(HEAD), low);
        bytes
    }
}
