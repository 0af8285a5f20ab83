//! The service behind every chain: `GET /small` answers 100 bytes, `GET /bulk/N` answers N.

use std::io::ErrorKind;
use std::net::SocketAddr;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::parts::accept;

/// Bytes of a small answer's body.
const SMALL: usize = 100;
/// Bytes of one write of a long one.
const PIECE: usize = 64 * 1024;
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
        match path.strip_prefix("/bulk/").and_then(|count| count.parse::<u64>().ok()) {
            Some(count) => send(&mut tcp, count, &piece).await?,
            None => tcp.write_all(small.as_bytes()).await?,
        }
        if text.to_ascii_lowercase().contains("\r\nconnection: close\r\n") {
            return tcp.shutdown().await;
        }
    }
}

async fn send(tcp: &mut TcpStream, count: u64, piece: &[u8]) -> std::io::Result<()> {
    tcp.write_all(format!("HTTP/1.1 200 OK\r\nContent-Length: {count}\r\n\r\n").as_bytes()).await?;
    let mut left = count;
    while left > 0 {
        let now = left.min(piece.len() as u64) as usize;
        tcp.write_all(&piece[..now]).await?;
        left -= now as u64;
    }
    Ok(())
}
