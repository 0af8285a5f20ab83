//! A whole native service: joins the local hub of its computer and says each line back, with who sent it in front.
//!
//! ```text
//! line_echo unix:/run/wandergate/servers.sock LOCAL-HUB-NAME CREDENTIALS.pem SERVICE
//! ```
//!
//! On Ctrl-C it drains: it takes no new calls, finishes those it has, and leaves.

mod serving;

use std::error::Error;
use std::net::SocketAddr;

use fabric::{Credentials, DoorAddress, Keyring, LocalHubAddress, Server};
use tokio_util::sync::CancellationToken;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [at, name, credentials, service] = arguments.as_slice() else {
        return Err("usage: line_echo ADDRESS|unix:PATH LOCAL-HUB-NAME CREDENTIALS.pem SERVICE".into());
    };
    let at = match at.strip_prefix("unix:") {
        Some(path) => DoorAddress::Unix(path.into()),
        None => DoorAddress::Tcp(at.parse::<SocketAddr>()?),
    };
    let keyring = Keyring::new(Credentials::from_secret_pem(&std::fs::read_to_string(credentials)?)?)?;
    let (local_hub, stop) = (LocalHubAddress { at, name: name.clone() }, CancellationToken::new());
    let server = Server::join(&local_hub, keyring, &[service], stop.clone())?;

    let serving = tokio::spawn(serving::serve(server.clone()));
    tokio::signal::ctrl_c().await?;
    server.drain().await;
    stop.cancel();
    server.stopped().await;
    Ok(serving.await?)
}
