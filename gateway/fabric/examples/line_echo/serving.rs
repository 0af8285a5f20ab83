//! The service itself: each call's lines, said back.

use fabric::{Call, Server};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader, split};

/// Longest line that is said back, bytes.
const LINE_MAX: u64 = 64 * 1024;

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
