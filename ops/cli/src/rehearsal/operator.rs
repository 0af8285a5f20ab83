//! The ops API as an operator on this machine uses it: JSON over the Unix socket.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use bytes::Bytes;
use http::Method;
use serde_json::Value;
use tokio::net::UnixStream;
use tokio::time::timeout;

use super::bounds::{ANSWER_BYTES_MAX, CALL_WAIT};
use super::dial::{Conversation, whole};

/// Somebody with access to the socket of a running gateway.
#[derive(Clone, Debug)]
pub struct Operator {
    socket: PathBuf,
}

impl Operator {
    pub fn new(socket: &Path) -> Self {
        Self { socket: socket.to_owned() }
    }

    /// # Errors
    /// As [`Operator::call`].
    pub async fn read(&self, path: &str) -> Result<Value> {
        self.call(Method::GET, path, None).await
    }

    /// Creates an invite for one device of `user`; the answer is its code.
    ///
    /// # Errors
    /// As [`Operator::call`].
    pub async fn invite(&self, user: &str, service: &str) -> Result<String> {
        let body = serde_json::json!({ "user": user, "services": [service] });
        let answer = self.call(Method::POST, "/v1/invites", Some(body)).await?;
        let code = answer.get("code").and_then(Value::as_str);
        Ok(code.context("the ops API made an invite and did not tell its code")?.to_owned())
    }

    /// # Errors
    /// As [`Operator::call`].
    pub async fn revoke(&self, user: &str, why: &str) -> Result<Value> {
        let body = serde_json::json!({ "reason": why });
        self.call(Method::POST, &format!("/v1/users/{user}/revoke"), Some(body)).await
    }

    /// Moves everybody's address now.
    ///
    /// # Errors
    /// As [`Operator::call`].
    pub async fn rotate_all(&self, why: &str) -> Result<Value> {
        let body = serde_json::json!({ "scope": "all", "reason": why, "confirm": true });
        self.call(Method::POST, "/v1/rotations", Some(body)).await
    }

    /// One call and its answer.
    ///
    /// # Errors
    /// Nobody answers at the socket, or the answer is a refusal: then with its words.
    pub async fn call(&self, method: Method, path: &str, body: Option<Value>) -> Result<Value> {
        let called = timeout(CALL_WAIT, self.exchange(method, path, body)).await;
        called.with_context(|| format!("the ops API at {} did not answer in time", self.socket.display()))?
    }

    async fn exchange(&self, method: Method, path: &str, body: Option<Value>) -> Result<Value> {
        let stream = UnixStream::connect(&self.socket).await;
        let stream = stream.with_context(|| format!("nobody answers at {}", self.socket.display()))?;
        let mut line = Conversation::over(stream, "localhost".to_owned()).await?;
        let body = body.map(|body| Bytes::from(body.to_string()));
        let response = line.send(method, path, &[], body).await?;
        let status = response.status();
        let answer = whole(response, ANSWER_BYTES_MAX).await?;
        let answer: Value = serde_json::from_slice(&answer).unwrap_or_default();
        if !status.is_success() {
            let said = |key| answer.get(key).and_then(Value::as_str).unwrap_or_default().to_owned();
            bail!("the ops API refused {path}: {status} {} {} {}", said("code"), said("detail"), said("fix"));
        }
        Ok(answer)
    }
}
