//! One connection of a client that speaks HTTP/1.1, as little of it as the benches' service does.

use std::io::{self, ErrorKind};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;

/// Whoever waits longer for an answer counts an error.
const PATIENCE: Duration = Duration::from_secs(10);
/// Bytes that are read at a time.
const READ: usize = 64 * 1024;

/// One connection over any stream.
pub struct Client<S = TcpStream> {
    stream: S,
    buffer: Vec<u8>,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Client<S> {
    pub fn over(stream: S) -> Self {
        Self { stream, buffer: Vec::with_capacity(READ) }
    }

    /// Sends a whole request and reads the whole answer, which has to be a 200.
    pub async fn ask(&mut self, request: &[u8]) -> io::Result<()> {
        let answered = tokio::time::timeout(PATIENCE, async {
            let left = self.begin(request).await?;
            self.skip(left).await
        });
        answered.await.map_err(|_| io::Error::from(ErrorKind::TimedOut))?
    }

    /// Sends a request and reads past the head of its answer; gives how much of the body is still to come.
    pub async fn begin(&mut self, request: &[u8]) -> io::Result<u64> {
        self.stream.write_all(request).await?;
        self.stream.flush().await?;
        self.head().await
    }

    /// Sends a part of a request.
    pub async fn send(&mut self, part: &[u8]) -> io::Result<()> {
        self.stream.write_all(part).await
    }

    /// Reads past the head of an answer; gives how much of the body is still to come.
    pub async fn head(&mut self) -> io::Result<u64> {
        self.stream.flush().await?;
        self.buffer.clear();
        loop {
            if self.stream.read_buf(&mut self.buffer).await? == 0 {
                return Err(ErrorKind::UnexpectedEof.into());
            }
            if let Some(end) = self.buffer.windows(4).position(|four| four == b"\r\n\r\n") {
                let length = body_length(&self.buffer[..end]).ok_or(ErrorKind::InvalidData)?;
                return Ok(length.saturating_sub((self.buffer.len() - end - 4) as u64));
            }
        }
    }

    /// Reads so many bytes of a body, or a few more.
    pub async fn skip(&mut self, mut left: u64) -> io::Result<()> {
        while left > 0 {
            left = left.saturating_sub(self.piece().await?);
        }
        Ok(())
    }

    /// Reads what there is of a body; gives how many bytes.
    pub async fn piece(&mut self) -> io::Result<u64> {
        self.buffer.clear();
        match self.stream.read_buf(&mut self.buffer).await? {
            0 => Err(ErrorKind::UnexpectedEof.into()),
            count => Ok(count as u64),
        }
    }

    /// Reads until the far side closes, so that no port of ours stays taken.
    pub async fn closed(&mut self) -> io::Result<()> {
        while self.stream.read_buf(&mut self.buffer).await? > 0 {}
        Ok(())
    }
}

/// Of an answer that is no error.
fn body_length(head: &[u8]) -> Option<u64> {
    let head = std::str::from_utf8(head).ok()?;
    if head.split(' ').nth(1) != Some("200") {
        return None;
    }
    let mut lengths = head.lines().filter_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("content-length").then(|| value.trim().parse().ok())?
    });
    lengths.next_back()
}
