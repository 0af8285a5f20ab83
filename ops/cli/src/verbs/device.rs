//! `wandergate device …`

use clap::Subcommand;
use http::Method;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use serde_json::json;

use defense::Reason;

use super::Told;
use super::change::{Calls, list, told};
use super::words::user_device;
use crate::client::{Failure, escaped};
use crate::output::{Table, cell, count};

#[derive(Clone, Debug, Subcommand)]
pub enum DeviceVerb {
    /// List devices, of one user or of all
    Ls { user: Option<String> },
    /// End one device's access: USER/DEVICE, or its number
    Revoke {
        device: String,
        /// Kept in the audit
        #[arg(long, default_value = "")]
        reason: String,
    },
    /// Enroll a device with the key of its certificate: what `auth = "key"` asks for
    Key {
        device: String,
        /// PEM, as `openssl req -x509` makes it; only its Ed25519 key counts
        #[arg(long, value_name = "FILE")]
        cert: std::path::PathBuf,
        /// Kept in the audit
        #[arg(long, default_value = "")]
        reason: String,
    },
    /// Give a revoked device access again
    Restore {
        device: String,
        #[arg(long, default_value = "")]
        reason: String,
    },
}

pub(super) async fn run(verb: DeviceVerb, calls: &Calls) -> Result<Told, Failure> {
    match verb {
        DeviceVerb::Ls { user } => ls(calls, user.as_deref()).await,
        DeviceVerb::Revoke { device, reason } => access(calls, &device, "revoke", &reason).await,
        DeviceVerb::Key { device, cert, reason } => key(calls, &device, &cert, &reason).await,
        DeviceVerb::Restore { device, reason } => access(calls, &device, "restore", &reason).await,
    }
}

async fn ls(calls: &Calls, user: Option<&str>) -> Result<Told, Failure> {
    let answer = calls.read_all(&path(user), "devices").await?;
    let mut table = Table::new(&["USER", "DEVICE", "CLASS", "SERVICES", "KEY", "CONNS", "STATE"]);
    for device in list(&answer["devices"]) {
        let of = |key: &str| cell(&device[key]);
        table.row([
            of("user"),
            of("name"),
            of("class"),
            of("services"),
            of("key"),
            of("connections"),
            of("state"),
        ]);
    }
    let text = table.text("No devices yet.");
    Ok(Told::new(answer, text))
}

async fn access(calls: &Calls, device: &str, act: &str, reason: &str) -> Result<Told, Failure> {
    let id = number(calls, device).await?;
    let path = format!("/v1/devices/{}/{act}", escaped(&id));
    let answer = calls.change(Method::POST, &path, Some(&json!({ "reason": reason })), None).await?;
    let whose = format!("{}/{}", cell(&answer["user"]), cell(&answer["device"]));
    let did = match act {
        "revoke" => {
            let closed = answer["closed_connections"].as_u64().unwrap_or(0);
            format!("revoked {whose}: {} closed", count(closed, "connection"))
        }
        _ => format!("restored {whose}"),
    };
    Ok(told(answer, &did))
}

async fn key(calls: &Calls, device: &str, file: &std::path::Path, reason: &str) -> Result<Told, Failure> {
    let certificate = CertificateDer::from_pem_file(file).ok();
    let key = certificate.and_then(|certificate| edge::auth::key_of(&certificate)).ok_or_else(|| {
        let why = format!("{} holds no certificate of an Ed25519 key.", file.display());
        Failure::refused(Reason::KeyInvalid, &why)
    })?;
    let id = number(calls, device).await?;
    let path = format!("/v1/devices/{}/key", escaped(&id));
    let body = json!({ "public_key": key.to_string(), "reason": reason });
    let answer = calls.change(Method::PUT, &path, Some(&body), None).await?;
    let did = format!("{}/{} has the key {key}", cell(&answer["user"]), cell(&answer["device"]));
    Ok(told(answer, &did))
}

/// The number of `USER/DEVICE`; of several by that name the active one, else any. A number stands for itself.
pub(super) async fn number(calls: &Calls, device: &str) -> Result<String, Failure> {
    if uuid::Uuid::parse_str(device).is_ok() {
        return Ok(device.to_owned());
    }
    let (user, name) = user_device(device)?;
    let answer = calls.read_all(&path(Some(user)), "devices").await?;
    let named: Vec<_> = list(&answer["devices"]).filter(|d| d["name"] == name).collect();
    let chosen = named.iter().find(|d| d["state"] == "active").or(named.first());
    let id = chosen.and_then(|d| d["id"].as_str()).map(str::to_owned);
    id.ok_or_else(|| Failure::refused(Reason::UnknownTarget, &format!("There is no device \"{device}\".")))
}

fn path(user: Option<&str>) -> String {
    user.map_or_else(|| "/v1/devices".to_owned(), |user| format!("/v1/devices?user={}", escaped(user)))
}
