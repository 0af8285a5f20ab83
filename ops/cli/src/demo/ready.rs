//! `wandergate.ready/1`: what outside programs need to drive a running demo. Written once everything works, as a whole.
//!
//! ```json
//! {"schema":"wandergate.ready/1", "pid":4711, "ca_file":"…/ca.pem", "zone":"wander.test", "dns":"127.0.0.1:40001",
//!  "ops":{"url":"http://127.0.0.1:40002", "token_file":"…/ops.token", "socket":"…/ops.sock"},
//!  "join":{"url":"https://join.wander.test:40003", "address":"127.0.0.1:40003"},
//!  "schedule":{"period_s":15, "grace_s":10},
//!  "leases":[{"user":"alice", "device":"laptop", "service":"web", "name":"….wander.test", "port":40004, "address":"127.83.7.9"}]}
//! ```

use std::net::IpAddr;
use std::path::Path;

use anyhow::Result;
use serde_json::{Value, json};

use super::scene::{GRACE_S, WINDOW_S};
use crate::rehearsal::enroll::Member;
use crate::secrets;
use crate::whereabouts::Whereabouts;

/// Writes the file under another name first: whoever sees it sees all of it.
///
/// # Errors
/// It can't be written.
pub fn write(file: &Path, whereabouts: &Whereabouts, leases: &[(&Member, IpAddr)]) -> Result<()> {
    secrets::write(file, format!("{}\n", document(whereabouts.to_json(), leases)).as_bytes())
}

fn document(mut base: Value, leases: &[(&Member, IpAddr)]) -> Value {
    let lease = |(member, address): &(&Member, IpAddr)| {
        json!({
            "user": member.user,
            "device": member.device,
            "service": member.service,
            "name": member.name,
            "port": member.port,
            "address": address,
        })
    };
    base["schedule"] = json!({ "period_s": WINDOW_S, "grace_s": GRACE_S });
    base["leases"] = leases.iter().map(lease).collect();
    base
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::whereabouts;

    #[test]
    fn the_file_has_every_key_that_outside_programs_rely_on() {
        let whereabouts = Whereabouts {
            zone: "wander.test".to_owned(),
            dns: "127.0.0.1:1".parse().unwrap(),
            join: "127.0.0.1:2".parse().unwrap(),
            ops: "127.0.0.1:3".parse().unwrap(),
            ca_file: "/x/ca.pem".into(),
            ops_socket: "/x/ops.sock".into(),
            ops_token_file: "/x/ops.token".into(),
        };
        let member = Member {
            user: "alice".to_owned(),
            device: "laptop".to_owned(),
            service: "web".to_owned(),
            name: "n.wander.test".to_owned(),
            port: 4,
        };
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("ready.json");
        write(&file, &whereabouts, &[(&member, "127.83.0.9".parse().unwrap())]).unwrap();
        let ready: Value = serde_json::from_slice(&std::fs::read(&file).unwrap()).unwrap();
        assert_eq!(ready["schema"], "wandergate.ready/1");
        assert_eq!(ready["pid"], std::process::id());
        assert_eq!((&ready["dns"], &ready["ca_file"]), (&json!("127.0.0.1:1"), &json!("/x/ca.pem")));
        assert_eq!(ready["ops"]["url"], "http://127.0.0.1:3");
        assert_eq!(ready["ops"]["token_file"], "/x/ops.token");
        assert_eq!(ready["join"]["url"], "https://join.wander.test:2");
        assert_eq!(ready["join"]["address"], "127.0.0.1:2");
        assert_eq!(ready["schedule"], json!({"period_s": 15, "grace_s": 10}));
        let lease = json!({"user":"alice","device":"laptop","service":"web","name":"n.wander.test","port":4,"address":"127.83.0.9"});
        assert_eq!(ready["leases"], json!([lease]));
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1, "no half-written file stays");
        whereabouts::forget(&file).unwrap();
        assert!(!file.exists());
        whereabouts::forget(&file).unwrap();
    }
}
