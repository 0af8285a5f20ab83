//! What a member believes of a hub that says it is the active of its plane.

use rustls::pki_types::UnixTime;

use crate::identity::Identity;
use crate::mandate::{Mandate, PlaneRoster};
use crate::refusal::Refusal;
use crate::tls::Keyring;

/// A plane, as this member was told of it.
pub(crate) struct Proof {
    plane: String,
    hubs: Vec<String>,
}

impl Proof {
    pub(crate) fn new(plane: &str, hubs: Vec<String>) -> Self {
        Self { plane: plane.to_owned(), hubs }
    }

    /// The term that this mandate of that hub proves, by the authority that the keyring trusts now.
    ///
    /// A plane of a single hub may show none: nobody else votes there, and TLS has proved who it is.
    ///
    /// # Errors
    /// [`Refusal::MandateInvalid`].
    pub(crate) fn term_of(&self, mandate: &[u8], hub: &Identity, keyring: &Keyring) -> Result<u64, Refusal> {
        if mandate.is_empty() && self.hubs.len() == 1 {
            return Ok(0);
        }
        let invalid = |reason: &dyn std::fmt::Display| {
            tracing::warn!(plane = self.plane, %hub, %reason, "a hub cannot prove its term");
            Refusal::MandateInvalid
        };
        let names = self.hubs.iter().map(String::as_str);
        let roster = PlaneRoster::new(&self.plane, names, keyring).map_err(|error| invalid(&error))?;
        let proven = Mandate::verify(mandate, &roster, UnixTime::now()).map_err(|error| invalid(&error))?;
        if proven.active != hub.name() {
            return Err(invalid(&"it is for another hub"));
        }
        Ok(proven.term)
    }
}
