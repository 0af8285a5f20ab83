//! What every role is given: the state, the keys of now, the hooks, the certificate.

use std::fs;
use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, Result};
use defense::{AllowList, Engine, EngineSeed, Hooks, Journal, Limits};
use edge::Certificates;
use ops::acts::{Order, reconcile};
use rotator::{KeyEpochs, Keyring};
use state::{Clock, Embedded, Store};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use zeroize::Zeroizing;

use super::runtimes::Runtimes;
use crate::config::{Config, Fabric};
use crate::descriptors::{self, Shares};
use crate::desired::desired;
use crate::key_service::KeyService;
use crate::secrets;
use crate::zone_certificate::{self, Pem};

pub(super) struct Shared {
    pub(super) store: Arc<dyn Store>,
    /// The same, for who takes over.
    pub(super) embedded: Arc<Embedded>,
    /// Ends the operators' API, where another process has taken it over.
    pub(super) desk: CancellationToken,
    pub(super) clock: Clock,
    pub(super) keys: watch::Receiver<Keyring>,
    pub(super) epochs: KeyEpochs,
    pub(super) decoy_secret: Zeroizing<[u8; 32]>,
    pub(super) challenge_secret: Zeroizing<[u8; 32]>,
    pub(super) engine: Arc<Engine>,
    pub(super) journal: Arc<Journal>,
    pub(super) certificates: Certificates,
    pub(super) runtimes: Runtimes,
    /// Who may have how many descriptors.
    pub(super) shares: Shares,
    /// Told to stop: readiness is gone at once.
    pub(super) leaving: CancellationToken,
    /// Ends what faces outwards: newcomers are turned away, connections drain.
    pub(super) stop: CancellationToken,
    /// Ends the inside: fabric, keys, the operators' API. After the drain.
    pub(super) inside: CancellationToken,
}

impl Shared {
    pub(super) async fn open(
        config: &Config,
        limits: &Limits,
        clock: Clock,
        stop: CancellationToken,
    ) -> Result<Self> {
        let inside = CancellationToken::new();
        let dir = &config.state.dir;
        secrets::folder(dir)?;
        let embedded = Arc::new(Embedded::open(&dir.join("state.redb"))?);
        let store = Arc::clone(&embedded) as Arc<dyn Store>;
        declare(config, store.as_ref(), &clock).await?;
        let key_service = KeyService::open(dir, Arc::clone(&store), clock.clone())?;
        let pem = certificate(config, &clock)?;
        let certificates = Certificates::from_pem(pem.chain.as_bytes(), pem.key.as_bytes());
        Ok(Self {
            epochs: key_service.epochs(),
            decoy_secret: key_service.purpose("decoy"),
            challenge_secret: key_service.purpose("challenge"),
            keys: key_service.publish(inside.clone()),
            engine: Arc::new(Engine::new(EngineSeed(secrets::random()?), limits, AllowList::default())),
            journal: Arc::new(Journal::new(secrets::random()?)),
            certificates: certificates.context("the certificate does not hold")?,
            runtimes: Runtimes::new()?,
            store,
            clock,
            shares: descriptors::shares(descriptors::limit(), matches!(config.fabric, Fabric::Own { .. })),
            leaving: CancellationToken::new(),
            desk: inside.child_token(),
            embedded,
            stop,
            inside,
        })
    }

    pub(super) fn hooks(&self) -> Arc<dyn Hooks> {
        Arc::clone(&self.engine) as Arc<dyn Hooks>
    }
}

/// Makes the state declare what the file does, in one audited transaction.
pub(super) async fn declare(config: &Config, store: &dyn Store, clock: &Clock) -> Result<()> {
    let wanted = desired(config)?;
    let now = clock.now();
    let decided = state::commit(store, move |records| {
        let order = Order { now, actor: "config".into(), why: String::new() };
        reconcile::reconcile(records, &order, &wanted)
    });
    decided.await.context("the state refuses what the configuration declares")?;
    Ok(())
}

/// The zone's certificate: the operator's files, or one by our own CA.
pub(super) fn certificate(config: &Config, clock: &Clock) -> Result<Pem> {
    match &config.tls {
        None => zone_certificate::issue(&config.state.dir, &config.edge.zone, clock.now()),
        Some(tls) => Ok(Pem { chain: read(&tls.cert)?, key: read(&tls.key)?.into() }),
    }
}

fn read(path: &Path) -> Result<String> {
    fs::read_to_string(path).with_context(|| format!("can't read {}", path.display()))
}
