//! Connections that trusted balancers pass on. Each begins with a header that says whose it is and which private address
//! was reached; it is read before anything is decided, and not a byte beyond it.
//!
//! Who is trusted is told by the configuration alone, never by what comes: from anybody else a header is the first bytes of
//! something that is no TLS, and from a balancer anything else is refused.

mod header;

use std::net::IpAddr;

use defense::Reason;
use ipnet::IpNet;
use tokio::io::{AsyncRead, AsyncReadExt};

use header::FIXED_BYTES;
pub(super) use header::Told;

/// Networks whose word is taken for who connects.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Balancers(Box<[IpNet]>);

impl Balancers {
    /// Looked through for each connection: the configuration bounds how many there are.
    pub fn new(networks: Vec<IpNet>) -> Self {
        Self(networks.into())
    }

    /// `source` in its own family.
    pub fn trusts(&self, source: IpAddr) -> bool {
        self.0.iter().any(|network| network.contains(&source))
    }
}

/// Reads a header; the caller sets the deadline.
///
/// # Errors
/// `proxy_missing`, `proxy_malformed`; nothing has been sent in any case.
pub(super) async fn read<S: AsyncRead + Unpin>(stream: &mut S) -> Result<Told, Reason> {
    let gone = |_| Reason::ProxyMissing;
    let mut fixed = [0; FIXED_BYTES];
    stream.read_exact(&mut fixed).await.map_err(gone)?;
    let mut whole = vec![0; FIXED_BYTES + header::rest_bytes(&fixed)?];
    let (first, rest) = whole.split_at_mut(FIXED_BYTES);
    first.copy_from_slice(&fixed);
    stream.read_exact(rest).await.map_err(gone)?;
    header::read(&whole)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_who_is_named_is_trusted() {
        let balancers =
            Balancers::new(vec!["10.1.0.0/16".parse().unwrap(), "2001:db8::7/128".parse().unwrap()]);
        for (source, is_trusted) in [
            ("10.1.0.0", true),
            ("10.1.255.255", true),
            ("10.2.0.0", false),
            ("2001:db8::7", true),
            ("2001:db8::8", false),
            ("::ffff:10.1.0.1", false),
        ] {
            assert_eq!(balancers.trusts(source.parse().unwrap()), is_trusted, "{source}");
        }
        assert!(!Balancers::default().trusts("127.0.0.1".parse().unwrap()));
    }

    #[tokio::test]
    async fn what_stands_behind_a_header_is_left_to_whoever_reads_next() {
        let health = b"\r\n\r\n\0\r\nQUIT\n\x20\0\0\x02??\x16rest";
        let mut unread = &health[..];
        assert_eq!(read(&mut unread).await, Ok(Told::Local));
        assert_eq!(unread, b"\x16rest");
        for cut in 0..18 {
            assert_eq!(read(&mut &health[..cut]).await, Err(Reason::ProxyMissing), "{cut}");
        }
    }
}
