//! The ClientHello, read without sending a byte: a stranger who can't name itself learns nothing, not even an alert.

use std::io;

use rustls::server::{Accepted, Acceptor};
use tokio::io::{AsyncRead, AsyncReadExt};

use crate::bounds::HELLO_BYTES_MAX;

/// Why there is no ClientHello.
#[derive(Debug)]
pub enum HelloError {
    /// The first bytes are not TLS, or not a ClientHello.
    NotTls,
    /// It is longer than [`HELLO_BYTES_MAX`].
    TooLong,
    /// The client left, or the socket broke.
    Gone(io::Error),
}

/// Reads exactly one ClientHello. The caller sets the deadline.
///
/// # Errors
/// See [`HelloError`]; nothing has been sent in any case.
pub async fn read<S: AsyncRead + Unpin>(stream: &mut S) -> Result<Accepted, HelloError> {
    let mut acceptor = Acceptor::default();
    let mut total = 0;
    let mut buffer = [0; 4096];
    loop {
        let n = stream.read(&mut buffer).await.map_err(HelloError::Gone)?;
        if n == 0 {
            return Err(HelloError::Gone(io::ErrorKind::UnexpectedEof.into()));
        }
        total += n;
        let mut unread = &buffer[..n];
        while !unread.is_empty() {
            match acceptor.read_tls(&mut unread) {
                Ok(0) => return Err(HelloError::TooLong),
                Ok(_) => {}
                Err(_) => return Err(HelloError::NotTls),
            }
        }
        match acceptor.accept() {
            Ok(Some(accepted)) => return Ok(accepted),
            Ok(None) if total >= HELLO_BYTES_MAX => return Err(HelloError::TooLong),
            Ok(None) => {}
            Err(_) => return Err(HelloError::NotTls),
        }
    }
}
