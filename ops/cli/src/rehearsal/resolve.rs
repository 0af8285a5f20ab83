//! A stub resolver for one name at one server: UDP, and an answer is kept for as long as its TTL says, no longer.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use hickory_proto::op::{Message, Query, ResponseCode};
use hickory_proto::rr::{Name, RData, RecordType};
use tokio::net::UdpSocket;
use tokio::time::{Instant, timeout};

use super::bounds::{DNS_BYTES_MAX, DNS_TRIES, DNS_WAIT};
use super::dial::Failure;

/// An address and how long it holds, if the answer has one.
type Found = Option<(IpAddr, Duration)>;

/// One user's resolver.
#[derive(Debug)]
pub struct Resolver {
    server: SocketAddr,
    kept: Option<Kept>,
}

#[derive(Debug)]
struct Kept {
    name: String,
    address: IpAddr,
    until: Instant,
}

impl Resolver {
    pub const fn new(server: SocketAddr) -> Self {
        Self { server, kept: None }
    }

    /// Where the name is now: from the answer kept, or a new one.
    ///
    /// # Errors
    /// As [`ask`].
    pub async fn address(&mut self, name: &str) -> Result<IpAddr, Failure> {
        let now = Instant::now();
        if let Some(kept) = self.kept.as_ref().filter(|kept| kept.name == name && now < kept.until) {
            return Ok(kept.address);
        }
        let (address, ttl) = ask(self.server, name).await?;
        self.kept = Some(Kept { name: name.to_owned(), address, until: now + ttl });
        Ok(address)
    }
}

/// Asks for the name's A record, and where there is none for AAAA; the answer's time to live with it. Each is asked
/// twice, as every stub resolver does.
///
/// # Errors
/// No answer, or one without an address.
pub async fn ask(server: SocketAddr, name: &str) -> Result<(IpAddr, Duration), Failure> {
    for kind in [RecordType::A, RecordType::AAAA] {
        if let Some(found) = ask_for(server, name, kind).await? {
            return Ok(found);
        }
    }
    Err(Failure::Dns("no address in the answer".to_owned()))
}

async fn ask_for(server: SocketAddr, name: &str, kind: RecordType) -> Result<Found, Failure> {
    let mut query = Message::query();
    let (id, question) = (query.metadata.id, question(name, kind)?);
    query.add_query(question);
    query.metadata.recursion_desired = true;
    let query = query.to_vec().map_err(|error| Failure::Dns(error.to_string()))?;
    let any = if server.is_ipv4() { "0.0.0.0:0" } else { "[::]:0" };
    let socket = UdpSocket::bind(any).await.map_err(Failure::socket)?;
    socket.connect(server).await.map_err(Failure::socket)?;
    for _ in 0..DNS_TRIES {
        socket.send(&query).await.map_err(Failure::socket)?;
        if let Ok(answer) = timeout(DNS_WAIT, answer(&socket, id)).await {
            return answer;
        }
    }
    Err(Failure::Dns("no answer in time".to_owned()))
}

fn question(name: &str, kind: RecordType) -> Result<Query, Failure> {
    let name = Name::from_ascii(format!("{name}.")).map_err(|error| Failure::Dns(error.to_string()))?;
    Ok(Query::query(name, kind))
}

/// The first message that answers our question; others are not for us.
async fn answer(socket: &UdpSocket, id: u16) -> Result<Found, Failure> {
    let mut bytes = [0; DNS_BYTES_MAX];
    loop {
        let length = socket.recv(&mut bytes).await.map_err(Failure::socket)?;
        match Message::from_vec(&bytes[..length]) {
            Ok(message) if message.metadata.id == id => return read(&message),
            Ok(_) | Err(_) => {}
        }
    }
}

fn read(message: &Message) -> Result<Found, Failure> {
    let code = message.metadata.response_code;
    if code != ResponseCode::NoError {
        return Err(Failure::Dns(code.to_string()));
    }
    let found = message.answers.iter().find_map(|record| match &record.data {
        RData::A(a) => Some((IpAddr::V4(a.0), record.ttl)),
        RData::AAAA(aaaa) => Some((IpAddr::V6(aaaa.0), record.ttl)),
        _ => None,
    });
    Ok(found.map(|(address, ttl)| (address, Duration::from_secs(u64::from(ttl)))))
}
