//! One slow download after the other: each begins on an address that will be gone before it ends, and must come whole.

use std::net::SocketAddr;

use http_body_util::BodyExt;
use tokio::time::{sleep, timeout};

use super::super::bounds::{DOWNLOAD_STALL, REQUEST_WAIT, RUEFUL_PAUSE};
use super::super::dial::{Conversation, Failure};
use super::super::resolve::ask;
use super::super::sample::drip_bytes;
use super::{Happening, Standing, User};

impl User {
    pub(super) async fn download(&self) {
        let Some(seconds) = self.world.download_s else { return };
        loop {
            let Standing::Granted { name } = self.standing() else {
                sleep(RUEFUL_PAUSE).await;
                continue;
            };
            let outcome = self.one_download(&name, seconds).await;
            let outlived = self.ended(&outcome);
            let user = self.member.user.clone();
            match outcome {
                Ok(bytes) => self.world.tell(Happening::DownloadWhole { user, bytes, outlived }),
                // Ended by a revocation, as it has to be.
                Err(_) if self.standing() == Standing::Revoked => {}
                Err(failure) => {
                    let cause = format!("download: {failure}");
                    self.tally().fault(&cause);
                    self.world.tell(Happening::DownloadCut { user, cause });
                    sleep(RUEFUL_PAUSE).await;
                }
            }
        }
    }

    async fn one_download(&self, name: &str, seconds: u32) -> Result<u64, Failure> {
        {
            let downloads = &mut self.tally().downloads;
            downloads.begun += 1;
            downloads.running = 1;
        }
        let opened = timeout(REQUEST_WAIT, self.begin(name, seconds)).await;
        let (began_on, mut line, response) = opened.unwrap_or(Err(Failure::Timeout))?;
        if response.status() != 200 {
            return Err(Failure::Status(response.status().as_u16()));
        }
        let (mut body, mut bytes) = (response.into_body(), 0);
        while let Some(frame) = timeout(DOWNLOAD_STALL, body.frame()).await.map_err(|_| Failure::Cut)? {
            let frame = frame.map_err(|_| Failure::Cut)?;
            bytes += frame.data_ref().map_or(0, |chunk| chunk.len() as u64);
            let mut tally = self.tally();
            tally.downloads.bytes += frame.data_ref().map_or(0, |chunk| chunk.len() as u64);
            if tally.address.is_some_and(|now| now != began_on) {
                tally.downloads.running_outlived = 1;
            }
        }
        // The connection has to live as long as the body.
        line.is_open().await;
        if bytes == drip_bytes(seconds) { Ok(bytes) } else { Err(Failure::Cut) }
    }

    async fn begin(
        &self,
        name: &str,
        seconds: u32,
    ) -> Result<(SocketAddr, Conversation, http::Response<hyper::body::Incoming>), Failure> {
        let (address, _) = ask(self.world.dns, name).await?;
        let at = SocketAddr::new(address, self.member.port);
        let mut line = Conversation::open(&self.world.trust, at, name).await?;
        let response = line.get(&format!("/drip?seconds={seconds}")).await?;
        Ok((at, line, response))
    }

    /// Whether the download that has just ended had outlived its address.
    fn ended(&self, outcome: &Result<u64, Failure>) -> bool {
        let revoked = self.standing() == Standing::Revoked;
        let mut tally = self.tally();
        let downloads = &mut tally.downloads;
        let outlived = downloads.running_outlived == 1;
        (downloads.running, downloads.running_outlived) = (0, 0);
        match outcome {
            Ok(_) => {
                downloads.whole += 1;
                downloads.whole_outlived += u64::from(outlived);
            }
            Err(_) if revoked => {}
            Err(_) => downloads.cut += 1,
        }
        outlived
    }
}
