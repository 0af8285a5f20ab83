//! HTTP/1.1 by hand over a socket of any kind: one request, one answer, read to the connection's end.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, ServerName};
use serde_json::Value;

use crate::product::Process;

const PATIENCE: Duration = Duration::from_secs(10);

/// Status and JSON body (`null` where there is none).
pub type Answer = io::Result<(u16, Value)>;

/// Asks the ops API over its Unix socket.
pub fn ops(product: &Process, method: &str, path: &str, body: &Value) -> Answer {
    let socket = product.text("/ops/socket");
    ops_at(Path::new(&socket), method, path, body)
}

/// The same, for callers that outlive the process they ask.
pub fn ops_at(socket: &Path, method: &str, path: &str, body: &Value) -> Answer {
    let stream = UnixStream::connect(socket)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    exchange(stream, method, "localhost", path, body)
}

/// A TLS client that believes one CA.
pub struct Join {
    config: Arc<ClientConfig>,
    address: SocketAddr,
    host: String,
}

impl Join {
    pub fn of(product: &Process) -> Self {
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_file(product.text("/ca_file")).unwrap()).unwrap();
        let builder = ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()));
        let config = builder.with_safe_default_protocol_versions().unwrap().with_root_certificates(roots);
        Self {
            config: Arc::new(config.with_no_client_auth()),
            address: product.text("/join/address").parse().unwrap(),
            host: format!("join.{}", product.text("/zone")),
        }
    }

    /// Asks the registration API.
    pub fn ask(&self, method: &str, path: &str, body: &Value) -> Answer {
        let tcp = TcpStream::connect_timeout(&self.address, PATIENCE)?;
        tcp.set_read_timeout(Some(PATIENCE))?;
        let name = ServerName::try_from(self.host.clone()).unwrap();
        let tls = ClientConnection::new(Arc::clone(&self.config), name).map_err(io::Error::other)?;
        exchange(StreamOwned::new(tls, tcp), method, &self.host, path, body)
    }
}

fn exchange(mut stream: impl Read + Write, method: &str, host: &str, path: &str, body: &Value) -> Answer {
    let body = if body.is_null() { String::new() } else { body.to_string() };
    let head = format!(
        "{method} {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    );
    stream.write_all(head.as_bytes())?;
    stream.flush()?;
    let mut answer = Vec::new();
    // A TLS server may close without saying so after its last byte: what came counts.
    match stream.read_to_end(&mut answer) {
        Err(e) if answer.is_empty() => return Err(e),
        Ok(_) | Err(_) => {}
    }
    let text = String::from_utf8_lossy(&answer);
    let (head, body) = text.split_once("\r\n\r\n").ok_or(io::ErrorKind::UnexpectedEof)?;
    let status = head.split(' ').nth(1).and_then(|s| s.parse().ok()).ok_or(io::ErrorKind::InvalidData)?;
    let length = header(head, "content-length").and_then(|n| n.parse::<usize>().ok());
    if length.is_some_and(|n| body.len() < n) {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    Ok((status, serde_json::from_str(body).unwrap_or(Value::Null)))
}

fn header<'a>(head: &'a str, name: &str) -> Option<&'a str> {
    let fields = head.lines().skip(1).filter_map(|line| line.split_once(':'));
    fields.into_iter().find(|(n, _)| n.eq_ignore_ascii_case(name)).map(|(_, v)| v.trim())
}
