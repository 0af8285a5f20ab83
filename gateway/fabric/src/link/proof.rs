//! What a member believes of a hub that says it is the active of its plane.

use rustls::pki_types::UnixTime;

use crate::identity::Identity;
use crate::mandate::{Mandate, PlaneRoster};
use crate::refusal::Refusal;
use crate::tls::Keyring;

/// Who has to prove what.
pub(crate) struct Proof {
    /// A plane and its hubs, as this member was told of them; none towards a local hub, which speaks for itself.
    plane: Option<(String, Vec<String>)>,
}

impl Proof {
    /// Main hubs prove that they are the active of their plane.
    pub(crate) fn of_plane(plane: &str, hubs: Vec<String>) -> Self {
        Self { plane: Some((plane.to_owned(), hubs)) }
    }

    /// A local hub has no term; TLS has proved who it is.
    pub(crate) fn unneeded() -> Self {
        Self { plane: None }
    }

    /// The term that this mandate of that hub proves, by the authority that the keyring trusts now.
    ///
    /// # Errors
    /// [`Refusal::MandateInvalid`].
    pub(crate) fn term_of(&self, mandate: &[u8], hub: &Identity, keyring: &Keyring) -> Result<u64, Refusal> {
        let Some((plane, hubs)) = &self.plane else { return Ok(0) };
        let invalid = |reason: &dyn std::fmt::Display| {
            tracing::warn!(plane, %hub, %reason, "a hub cannot prove its term");
            Refusal::MandateInvalid
        };
        let names = hubs.iter().map(String::as_str);
        let roster = PlaneRoster::new(plane, names, keyring).map_err(|error| invalid(&error))?;
        let proven = Mandate::verify(mandate, &roster, UnixTime::now()).map_err(|error| invalid(&error))?;
        if proven.active != hub.name() {
            return Err(invalid(&"it is for another hub"));
        }
        Ok(proven.term)
    }
}
