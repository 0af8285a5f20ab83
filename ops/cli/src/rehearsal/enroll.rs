//! An invite redeemed at the public door, over TLS, as the page behind the link does it.

use std::net::SocketAddr;

use anyhow::{Context, Result, bail};
use bytes::Bytes;
use http::Method;
use registration::answer::Enrolled;
use registration::client::{Ticket, plain_body};
use rotator::Class;
use serde_json::Value;
use tokio::time::timeout;

use super::bounds::{ANSWER_BYTES_MAX, CALL_WAIT};
use super::dial::{Conversation, Trust, whole};

/// The public door.
#[derive(Clone)]
pub struct Door {
    pub trust: Trust,
    pub at: SocketAddr,
    pub zone: String,
}

/// A user's device with a private name.
#[derive(Clone, PartialEq, Eq)]
pub struct Member {
    pub user: String,
    pub device: String,
    pub service: String,
    /// The full private name: a secret.
    pub name: String,
    pub port: u16,
}

impl Door {
    pub fn host(&self) -> String {
        format!("join.{}", self.zone)
    }

    /// Enrolls an ordinary client (class `name`).
    ///
    /// # Errors
    /// The door's refusal in its own words, or no connection.
    pub async fn enroll(&self, code: &str, device: &str) -> Result<Member> {
        timeout(CALL_WAIT, self.redeem(code, device)).await.context("registration did not answer in time")?
    }

    async fn redeem(&self, code: &str, device: &str) -> Result<Member> {
        let code = code.parse().context("the invite's code can't be read")?;
        let body = serde_json::to_vec(&plain_body(Ticket::Invite(code), device, Class::Name))?;
        let mut line = Conversation::open(&self.trust, self.at, &self.host()).await?;
        let response = line.send(Method::POST, "/j/v1/enroll", &[], Some(Bytes::from(body))).await?;
        let status = response.status();
        let answer = whole(response, ANSWER_BYTES_MAX).await?;
        if !status.is_success() {
            let problem: Value = serde_json::from_slice(&answer).unwrap_or_default();
            let said = |key| problem.get(key).and_then(Value::as_str).unwrap_or_default();
            bail!("registration refused: {status} {} {}", said("code"), said("detail"));
        }
        let enrolled: Enrolled =
            serde_json::from_slice(&answer).context("registration's answer can't be read")?;
        let terms = enrolled.services.into_iter().next().context("enrolled, but for no service")?;
        Ok(Member {
            user: enrolled.user.to_string(),
            device: enrolled.device.to_string(),
            service: terms.service.to_string(),
            name: terms.name.context("an ordinary client was given no private name")?,
            port: terms.port,
        })
    }
}

// The name is the member's secret.
impl std::fmt::Debug for Member {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Member({}/{}, masked)", self.user, self.device)
    }
}
