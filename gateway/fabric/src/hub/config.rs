//! What a hub is started with, and why it does not start.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use ring::rand::{SecureRandom, SystemRandom};

use super::council::Seats;
use super::terms::{Terms, TermsError};
use crate::clock::boot_time;
use crate::election::{Election, Timing};
use crate::identity::Role;
use crate::mandate::{PlaneRoster, RosterError};
use crate::tls::Keyring;

/// One hub of a plane.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HubInstance {
    /// The name in its certificate.
    pub name: String,
    /// Where it listens for members.
    pub members: SocketAddr,
    /// Where it listens for the other hubs.
    pub between: SocketAddr,
}

/// A plane, and which of its hubs this one is.
#[derive(Clone, Debug)]
pub struct HubConfig {
    /// The plane's name.
    pub plane: String,
    /// This hub's name, one of the instances'.
    pub me: String,
    /// All hubs of the plane; every one of them must be told the same.
    pub instances: Vec<HubInstance>,
    /// The term file: what this hub voted. It must survive the hub; its folder exists.
    pub terms: PathBuf,
}

/// A hub that cannot begin.
#[derive(Debug, thiserror::Error)]
pub enum HubError {
    /// The certificate is not a hub's.
    #[error("the certificate is not for the role hub")]
    WrongRole,
    /// The certificate names another hub.
    #[error("the certificate is for {0}, and this hub is {1}")]
    WrongName(String, String),
    /// It is not one of its plane.
    #[error("hub {0} is not one of plane {1}")]
    NotOfPlane(String, String),
    /// The plane.
    #[error(transparent)]
    Roster(#[from] RosterError),
    /// A plane of several hubs, and no listener for them.
    #[error("a hub of a plane of several needs a listener for the others")]
    BetweenMissing,
    /// The term file.
    #[error(transparent)]
    Terms(#[from] TermsError),
    /// The term file cannot be written.
    #[error("the term file {0} cannot be written")]
    TermsUnwritable(PathBuf),
    /// The system gave no randomness.
    #[error("the system gave no randomness")]
    Randomness,
    /// A listener has no address, or the system no thread.
    #[error("a listener or thread is not usable: {0}")]
    System(#[from] std::io::Error),
}

/// A hub that does not step down.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StepDownError {
    /// It is not active, or stopped.
    #[error("this hub is not active")]
    NotActive,
    /// There is no other.
    #[error("this hub is the only one of its plane")]
    Alone,
    /// It has more messages to read than it keeps waiting, or is stopping.
    #[error("this hub is too busy to hand over now")]
    Busy,
}

impl HubConfig {
    /// A plane of one hub, which is always active. It survives nothing: with it the plane is gone until it is back.
    pub fn alone(plane: &str, me: &str, terms: &Path) -> Self {
        let nowhere = SocketAddr::from(([0, 0, 0, 0], 0));
        let instance = HubInstance { name: me.to_owned(), members: nowhere, between: nowhere };
        let (plane, me) = (plane.to_owned(), me.to_owned());
        Self { plane, me, instances: vec![instance], terms: terms.to_owned() }
    }
}

/// Who sits in the council, from the plan of the plane and what the disk remembers.
pub(super) fn seats(config: &HubConfig, keyring: &Keyring) -> Result<Seats, HubError> {
    let identity = keyring.identity();
    if identity.role() != Role::Hub {
        return Err(HubError::WrongRole);
    }
    if identity.name() != config.me {
        return Err(HubError::WrongName(identity.name().to_owned(), config.me.clone()));
    }
    let names: Vec<String> = config.instances.iter().map(|instance| instance.name.clone()).collect();
    let roster = PlaneRoster::new(&config.plane, names.iter().map(String::as_str), keyring)?;
    let me = names.iter().position(|name| *name == config.me);
    let me = me.ok_or_else(|| HubError::NotOfPlane(config.me.clone(), config.plane.clone()))?;
    let (terms, ballot) = Terms::open(&config.terms, &config.plane, &config.me, &names)?;
    let mut seed = [0; 8];
    SystemRandom::new().fill(&mut seed).map_err(|_| HubError::Randomness)?;
    let seed = u64::from_ne_bytes(seed);
    let election = Election::new(me, names.len(), ballot, Timing::STANDARD, seed, boot_time());
    Ok(Seats { roster, names, me, terms, election })
}
