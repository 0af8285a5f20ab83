//! A whole native service: joins the local hub of its computer and says each line back, with who sent it in front.
//!
//! ```text
//! line_echo unix:/run/wandergate/servers.sock LOCAL-HUB-NAME CREDENTIALS.pem SERVICE
//! ```
//!
//! On Ctrl-C it drains: it takes no new calls, finishes those it has, and leaves.

use std::error::Error;
use std::net::SocketAddr;

use fabric::{Call, Credentials, DoorAddress, Keyring, LocalHubAddress, Server};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader, split};
use tokio_util::sync::CancellationToken;

/// Longest line that is said back, bytes.
const LINE_MAX: u64 = 64 * 1024;

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

    let serving = tokio::spawn(serve(server.clone()));
    tokio::signal::ctrl_c().await?;
    server.drain().await;
    stop.cancel();
    server.stopped().await;
    Ok(serving.await?)
}

/// Takes calls until the server stops.
pub(crate) async fn serve(server: Server) {
    while let Some(call) = server.accept().await {
        tokio::spawn(async move {
            // A call that broke has nobody left to tell.
            let _ = say_back(call).await;
        });
    }
}

async fn say_back(call: Call) -> std::io::Result<()> {
    let user = call.origin.as_ref().map_or("", |origin| origin.user()).to_owned();
    let (read, mut write) = split(call.stream);
    let mut read = BufReader::new(read);
    loop {
        let mut line = Vec::new();
        if (&mut read).take(LINE_MAX).read_until(b'\n', &mut line).await? == 0 {
            return write.shutdown().await;
        }
        let mut answer = format!("{} {user}: ", call.caller).into_bytes();
        answer.extend_from_slice(&line);
        write.write_all(&answer).await?;
    }
}
