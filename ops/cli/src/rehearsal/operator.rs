//! What rehearsals ask of the ops API, as an operator on this machine would.

use std::path::Path;

use anyhow::{Context, Result};
use http::Method;
use serde_json::{Value, json};

use crate::client::{Client, Failure, escaped};

/// Why the ops API did not do it. Keeps the exit code that goes with it.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{0}")]
pub struct Denied(pub Failure);

/// Somebody with access to the socket of a running gateway.
#[derive(Clone, Debug)]
pub struct Operator(Client);

impl Operator {
    pub fn new(socket: &Path) -> Self {
        Self(Client::socket(socket))
    }

    /// # Errors
    /// [`Denied`]: nobody answers, or the answer is a refusal.
    pub async fn read(&self, path: &str) -> Result<Value> {
        Ok(self.0.read(path).await.map_err(Denied)?)
    }

    /// Creates an invite for one device of `user`; the answer is its code.
    ///
    /// # Errors
    /// As [`Operator::read`].
    pub async fn invite(&self, user: &str, service: &str) -> Result<String> {
        let answer = self.post("/v1/invites", json!({ "user": user, "services": [service] })).await?;
        let code = answer.get("code").and_then(Value::as_str);
        Ok(code.context("the ops API made an invite and did not tell its code")?.to_owned())
    }

    /// # Errors
    /// As [`Operator::read`].
    pub async fn revoke(&self, user: &str, why: &str) -> Result<Value> {
        self.post(&format!("/v1/users/{}/revoke", escaped(user)), json!({ "reason": why })).await
    }

    /// Moves everybody's address now.
    ///
    /// # Errors
    /// As [`Operator::read`].
    pub async fn rotate_all(&self, why: &str) -> Result<Value> {
        self.post("/v1/rotations", json!({ "scope": "all", "reason": why, "confirm": true })).await
    }

    async fn post(&self, path: &str, body: Value) -> Result<Value> {
        let reply = self.0.call(Method::POST, path, Some(&body), None).await;
        Ok(reply.map_err(Denied)?.body)
    }
}
