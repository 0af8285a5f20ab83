//! What became of a user's former addresses: each is looked at once, when its grace is over.

use std::net::SocketAddr;

use tokio::sync::mpsc;
use tokio::time::{Instant, sleep_until};

use super::super::bounds::OLD_ADDRESS_SLACK;
use super::super::knock::{End, Greeter, knock};
use super::{Happening, Standing, User};

impl User {
    /// Looks at each address that it is sent, with the right name in the handshake: as somebody with an old answer of
    /// the DNS would.
    pub(super) async fn mourn(&self, mut olds: mpsc::Receiver<SocketAddr>) {
        let Ok(greeter) = Greeter::new() else { return };
        while let Some(address) = olds.recv().await {
            // Received at once, one at a time: at most the schedule's overlap behind.
            sleep_until(Instant::now() + self.world.grace + OLD_ADDRESS_SLACK).await;
            if self.tally().address == Some(address) {
                continue;
            }
            let name = match self.standing() {
                Standing::Granted { name } => name,
                Standing::Revoked => self.member.name.clone(),
            };
            let Ok(hello) = greeter.hello(Some(&name)) else { continue };
            let heard = knock(None, address, &hello).await;
            self.found(address, heard.end, heard.after);
        }
    }

    fn found(&self, address: SocketAddr, end: End, after: std::time::Duration) {
        let user = self.member.user.clone();
        let how = match end {
            End::Unsent => return,
            End::Answer => {
                self.tally().found_alive();
                return self.world.tell(Happening::OldAddressAnswered { user, address });
            }
            End::Reset => "reset",
            End::Refused => "refused",
            End::Silence => "silent",
        };
        self.tally().found_dead(address);
        self.world.tell(Happening::OldAddressDead { user, address, how, after });
    }
}
