//! Asks one server of one service, again and again, whether it is well.

use std::net::SocketAddr;
use std::sync::{Arc, Weak};

use ring::rand::{SecureRandom, SystemRandom};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::Semaphore;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;

use super::health::{Health, Thresholds, is_good_answer};
use super::server::Server;
use super::services::{ProxyProtocol, Service};
use super::shelf::Shelf;
use crate::bounds::{HEALTH_ANSWER, HEALTH_DEADLINE};
use crate::proxy;

/// The probes of one server; they end when it is no longer one of the service.
pub(super) struct Probing {
    pub(super) shelf: Weak<Shelf>,
    pub(super) server: Weak<Server>,
    pub(super) gone: CancellationToken,
    pub(super) address: SocketAddr,
    pub(super) service: Arc<Service>,
    pub(super) thresholds: Thresholds,
    /// So many probes run at once.
    pub(super) places: Arc<Semaphore>,
}

impl Probing {
    pub(super) async fn run(self) {
        let gone = self.gone.clone();
        gone.run_until_cancelled(self.keep_asking()).await;
    }

    async fn keep_asking(&self) {
        let dice = SystemRandom::new();
        loop {
            let is_good = match self.places.acquire().await {
                Ok(_place) => matches!(timeout(HEALTH_DEADLINE, self.ask()).await, Ok(Ok(true))),
                Err(_) => return,
            };
            let Some(server) = self.server.upgrade() else { return };
            if server.handle_probe(is_good, &self.service.health) {
                tracing::info!(address = %self.address, is_well = is_good, "a server's health turned");
                self.shelf.upgrade().iter().for_each(|shelf| shelf.refresh());
            }
            drop(server);
            let mut bytes = [0; 4];
            // Without randomness probes are regular, which harms nothing.
            let _ = dice.fill(&mut bytes);
            sleep(self.thresholds.wait(u32::from_ne_bytes(bytes))).await;
        }
    }

    async fn ask(&self) -> std::io::Result<bool> {
        let mut tcp = TcpStream::connect(self.address).await?;
        if self.service.proxy == ProxyProtocol::V2 {
            tcp.write_all(&proxy::local()).await?;
        }
        match &self.service.health {
            Health::Unasked | Health::Connect(_) => Ok(true),
            Health::Http { path, .. } => {
                let request = format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
                tcp.write_all(request.as_bytes()).await?;
                let mut head = Vec::with_capacity(HEALTH_ANSWER);
                let mut answer = tcp.take(HEALTH_ANSWER as u64);
                loop {
                    if let Some(is_good) = is_good_answer(&head) {
                        return Ok(is_good);
                    }
                    if answer.read_buf(&mut head).await? == 0 {
                        return Ok(false);
                    }
                }
            }
        }
    }
}
