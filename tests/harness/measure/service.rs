//! The service behind everything that is measured: `GET /small` answers 100 bytes, `GET /bulk/N` answers N,
//! `GET /gigabit/N` answers N at the pace of a link of 1 Gbit/s; a body of a request is thrown away, and 100 bytes answer it.
//! On the same port each datagram comes back as it is.

use std::io::ErrorKind;
use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream, UdpSocket};
use tokio::time::interval;

/// Bytes of a small answer's body.
const SMALL: usize = 100;
/// Bytes of one write of a long one, and of one read of a request's body.
const PIECE: usize = 64 * 1024;
/// What a link of 1 Gbit/s carries in a millisecond, bytes.
const GIGABIT_MS: u64 = 125_000;
/// Longest head of a request.
const REQUEST_MAX: usize = 16 * 1024;

/// Gives each connection to a task of its own.
///
/// # Panics
/// When the address can't be had.
pub async fn accept<F>(listen: SocketAddr, serve: impl Fn(TcpStream) -> F)
where
    F: Future<Output = ()> + Send + 'static,
{
    let listener = TcpListener::bind(listen).await.unwrap();
    loop {
        let (tcp, _) = listener.accept().await.unwrap();
        tcp.set_nodelay(true).unwrap();
        tokio::spawn(serve(tcp));
    }
}

/// Serves for ever.
///
/// # Panics
/// When the address can't be had.
pub async fn serve(listen: SocketAddr) {
    tokio::spawn(echo(UdpSocket::bind(listen).await.unwrap()));
    accept(listen, |tcp| async {
        // Whoever leaves in the middle of an answer was meant to.
        let _ = answer_all(tcp).await;
    })
    .await;
}

async fn echo(socket: UdpSocket) {
    let mut datagram = [0; 2048];
    loop {
        if let Ok((count, from)) = socket.recv_from(&mut datagram).await {
            // Who asks counts what does not come back.
            let _ = socket.send_to(&datagram[..count], from).await;
        }
    }
}

/// What a request's head asks for.
struct Asked {
    bulk: Option<u64>,
    gigabit: Option<u64>,
    /// Of its body.
    length: u64,
    closes: bool,
}

async fn answer_all(mut tcp: TcpStream) -> std::io::Result<()> {
    let small = format!("HTTP/1.1 200 OK\r\nContent-Length: {SMALL}\r\n\r\n{}", "x".repeat(SMALL));
    let piece = vec![b'x'; PIECE];
    let mut received = Vec::with_capacity(PIECE);
    loop {
        received.clear();
        let end = loop {
            if let Some(end) = received.windows(4).position(|four| four == b"\r\n\r\n") {
                break end;
            }
            if received.len() > REQUEST_MAX || tcp.read_buf(&mut received).await? == 0 {
                return Ok(());
            }
        };
        let asked = read(&received[..end])?;
        throw_away(&mut tcp, asked.length.saturating_sub((received.len() - end - 4) as u64), &mut received)
            .await?;
        match (asked.bulk, asked.gigabit) {
            (Some(count), _) => send(&mut tcp, count, u64::MAX, &piece).await?,
            (None, Some(count)) => send(&mut tcp, count, GIGABIT_MS, &piece).await?,
            (None, None) => tcp.write_all(small.as_bytes()).await?,
        }
        if asked.closes {
            return tcp.shutdown().await;
        }
    }
}

fn read(head: &[u8]) -> std::io::Result<Asked> {
    let text = std::str::from_utf8(head).map_err(|_| ErrorKind::InvalidData)?;
    let path = text.split(' ').nth(1).unwrap_or_default();
    let count = |prefix: &str| path.strip_prefix(prefix).and_then(|count| count.parse::<u64>().ok());
    let field = |wanted: &str| {
        let mut fields = text.split("\r\n").skip(1).filter_map(|line| line.split_once(':'));
        fields.find(|(name, _)| name.eq_ignore_ascii_case(wanted)).map(|(_, value)| value.trim())
    };
    Ok(Asked {
        bulk: count("/bulk/"),
        gigabit: count("/gigabit/"),
        length: field("content-length").and_then(|length| length.parse().ok()).unwrap_or(0),
        closes: field("connection").is_some_and(|value| value.eq_ignore_ascii_case("close")),
    })
}

async fn throw_away(tcp: &mut TcpStream, mut left: u64, buffer: &mut Vec<u8>) -> std::io::Result<()> {
    while left > 0 {
        buffer.clear();
        match tcp.read_buf(buffer).await? {
            0 => return Err(ErrorKind::UnexpectedEof.into()),
            count => left = left.saturating_sub(count as u64),
        }
    }
    Ok(())
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
