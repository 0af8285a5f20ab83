//! UDP: one query at a time per socket, answered where it is read. Nothing is queued, so a flood costs no memory. A shell.

use std::sync::Arc;

use tokio::net::UdpSocket;
use tokio_util::sync::CancellationToken;

use crate::bounds::{ERROR_PAUSE, UDP_QUERY_BYTES_MAX};
use crate::desk::{Desk, Served};
use crate::tally::count;
use crate::wire::Transport;

/// Serves a socket until `stop`; no error of it ends the loop.
pub(crate) async fn serve(socket: UdpSocket, desk: Arc<Desk>, stop: CancellationToken) {
    let mut query = vec![0; UDP_QUERY_BYTES_MAX];
    loop {
        let received = tokio::select! {
            biased;
            () = stop.cancelled() => return,
            received = socket.recv_from(&mut query) => received,
        };
        let (length, source) = match received {
            Ok(received) => received,
            Err(error) => {
                tracing::debug!(event = "dns.udp_error", %error);
                tokio::time::sleep(ERROR_PAUSE).await;
                continue;
            }
        };
        match desk.serve(&query[..length], source, Transport::Udp) {
            // A full send buffer loses the answer, as the network may; the client asks again.
            Served::Reply(reply) => {
                if socket.try_send_to(&reply, source).is_err() {
                    count(&desk.tally.unsent);
                }
            }
            Served::Silence | Served::Later(..) => {}
        }
    }
}
