//! The service behind every chain: `GET /small` answers 100 bytes, `GET /bulk/N` answers N, `GET /gigabit/N` answers N at
//! the pace of a link of 1 Gbit/s.

use std::io::ErrorKind;
use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::interval;

use crate::parts::accept;

/// Bytes of a small answer's body.
const SMALL: usize = 100;
/// Bytes of one write of a long one.
const PIECE: usize = 64 * 1024;
/// What a link of 1 Gbit/s carries in a millisecond, bytes.
const GIGABIT_MS: u64 = 125_000;
/// Longest request.
const REQUEST_MAX: usize = 16 * 1024;

pub(crate) async fn serve(listen: SocketAddr) {
    accept(listen, |tcp| async {
        // Whoever leaves in the middle of an answer was meant to.
        let _ = answer_all(tcp).await;
    })
    .await;
}

async fn answer_all(mut tcp: TcpStream) -> std::io::Result<()> {
    let small = format!("HTTP/1.1 200 OK\r\nContent-Length: {SMALL}\r\n\r\n{}", "x".repeat(SMALL));
    let piece = vec![b'x'; PIECE];
    let mut request = Vec::with_capacity(4096);
    loop {
        request.clear();
        while !request.ends_with(b"\r\n\r\n") {
            if request.len() > REQUEST_MAX || tcp.read_buf(&mut request).await? == 0 {
                return Ok(());
            }
        }
        let text = std::str::from_utf8(&request).map_err(|_| ErrorKind::InvalidData)?;
        let path = text.split(' ').nth(1).unwrap_or_default();
        let count = |prefix: &str| path.strip_prefix(prefix).and_then(|count| count.parse::<u64>().ok());
        match (count("/bulk/"), count("/gigabit/")) {
            (Some(count), _) => send(&mut tcp, count, u64::MAX, &piece).await?,
            (None, Some(count)) => send(&mut tcp, count, GIGABIT_MS, &piece).await?,
            (None, None) => tcp.write_all(small.as_bytes()).await?,
        }
        if text.to_ascii_lowercase().contains("\r\nconnection: close\r\n") {
            return tcp.shutdown().await;
        }
    }
}

/// At most `per_ms` bytes in each millisecond; one that is late is made up for, as far as the socket takes it.
async fn send(tcp: &mut TcpStream, count: u64, per_ms: u64, piece: &[u8]) -> std::io::Result<()> {
    tcp.write_all(format!("HTTP/1.1 200 OK\r\nContent-Length: {count}\r\n\r\n").as_bytes()).await?;
    let mut beat = interval(Duration::from_millis(1));
    let mut left = count;
    while left > 0 {
        if per_ms < u64::MAX {
            beat.tick().await;
        }
        let mut now = left.min(per_ms);
        left -= now;
        while now > 0 {
            let part = now.min(piece.len() as u64);
            tcp.write_all(&piece[..part as usize]).await?;
            now -= part;
        }
    }
    Ok(())
}
