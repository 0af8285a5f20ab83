//! Good configurations, and bytes of every kind, which must never panic.

use std::net::IpAddr;
use std::path::Path;

use proptest::prelude::*;
use state::records::Speaks;
use wandergate_cli::config::{
    self, Auth, Config, LogFormat, LogLevel, MemberRole, Setup, UnknownLabel, bounds,
};

pub(crate) const SMALLEST: &str =
    "[edge]\nzone = \"edge.example.net\"\n[pool.v6]\nrange = \"2001:db8:42::/64\"\n";

const WHOLE: &str = r#"
[edge]
name = "fra1"
zone = "Edge.Example.NET."
listen = ["::", "0.0.0.0"]
listen_port = 8443
device = "lo"
drain_max = "2m"
drain_pause = "5s"
access_log = "access.jsonl"
access_sample = 100
http3 = false
trusted_proxies = ["10.1.0.0/16", "192.0.2.7", "2001:db8:7::/64"]
memory_max = "2G"

[pool.v6]
range = "2001:db8:42::/64"

[pool.v4]
range = "203.0.113.10-203.0.113.99"

[service.web]
to = "127.0.0.1:3000"
listen = ["https/443", "tls/993=143"]
proxy = true
speaks = "h2"
maintenance = "Back at nine."
max_body = "100M"
max_time = "1h"
connections = 20
requests_per_s = 50
bytes_out_per_s = "10M"
schedule = "brisk"
pool = ["v6"]
auth = "address"
max_session = "2h"

[service.ssh]
to = "[::1]:22"

[schedule.brisk]
name = { window = "2m", grace = "10m", lead = "20s", ttl = "30s", tombstone = "5m" }
agent = { window = "20s", grace = "11s", lead = "10s", ttl = "5s", tombstone = "1m", label = "20s" }
stale = "drop"
max_session = "1d"

[dns]
listen = ["127.0.0.1:5300", "[::1]:5300"]
nameservers = { ns1 = ["192.0.2.1", "2001:db8:42::53"], ns2 = ["192.0.2.2"] }
unknown = "nxdomain"

[join]
listen = "0.0.0.0:8444"
address = "192.0.2.1"
open = true
pow_bits = 28
rate = "5/s"

[fabric]
hub = "127.0.0.1:7001"

[tls]
cert = "tls/edge.pem"
key = "/etc/keys/edge.key"

[state]
dir = "state"

[ops]
socket = "/run/wandergate/ops.sock"
listen = "[::1]:7780"

[log]
format = "json"
level = "debug"
"#;

fn taken(text: &str) -> Config {
    config::parse(text, "/etc/wandergate/wandergate.toml").unwrap_or_else(|errors| panic!("{errors}"))
}

#[test]
fn the_smallest_file_gets_every_default() {
    let config = taken(SMALLEST);
    assert_eq!((config.edge.name.as_str(), config.edge.listen_port), ("edge1", 443));
    assert_eq!(config.edge.listen, ["::".parse::<IpAddr>().unwrap()]);
    assert_eq!(config.schedules["standard"].name, rotator::Schedule::NAME);
    assert_eq!(config.schedules["standard"].agent, rotator::Schedule::AGENT);
    assert_eq!(config.dns.nameservers["ns1"], [config.join.address]);
    assert_eq!((config.edge.access_log, config.edge.memory_max, config.edge.http3), (None, None, true));
    assert!(config.edge.trusted_proxies.is_empty(), "nobody speaks for others");
    assert!(!config.join.open && config.tls.is_none() && config.services.is_empty());
    assert_eq!(config.ops.socket, Path::new("/var/lib/wandergate/ops.sock"));
}

#[test]
fn a_whole_file_says_what_it_means() {
    let config = taken(WHOLE);
    assert_eq!(config.edge.zone, "edge.example.net");
    let log = config.edge.access_log.as_deref();
    assert_eq!((log, config.edge.access_sample), (Some(Path::new("/etc/wandergate/access.jsonl")), 100));
    assert!(!config.edge.http3);
    let trusted = ["10.1.0.0/16", "192.0.2.7/32", "2001:db8:7::/64"].map(|network| network.parse().unwrap());
    assert_eq!(
        (config.edge.trusted_proxies.as_slice(), config.edge.memory_max),
        (&trusted[..], Some(2 << 30))
    );
    let web = &config.services["web"];
    assert_eq!((web.listen.to_string().as_str(), web.auth), ("https/443, tls/993=143", Auth::Address));
    let handling = (web.handling.proxy, web.handling.max_body, web.handling.max_time_s);
    assert_eq!((handling, web.max_session_s), ((true, Some(100 << 20), Some(3600)), Some(7200)));
    assert_eq!((web.handling.speaks, config.services["ssh"].handling.speaks), (Speaks::Http2, Speaks::Http1));
    let budget = web.handling.budget;
    assert_eq!((budget.connections, budget.requests_per_s), (Some(20), Some(50)));
    assert_eq!((budget.bytes_out_per_s, budget.bytes_in_per_s), (Some(10 << 20), None));
    assert_eq!(web.handling.maintenance.as_deref(), Some("Back at nine."));
    assert_eq!((web.schedule.as_str(), web.pools.as_slice()), ("brisk", ["v6".to_owned()].as_slice()));
    let ssh = &config.services["ssh"];
    assert_eq!((ssh.listen.main_port(), ssh.auth, ssh.pools.len()), (8443, Auth::Name, 2));
    let brisk = &config.schedules["brisk"];
    assert_eq!((brisk.name.period_s, brisk.agent.label_period_s), (120, 20));
    assert_eq!((brisk.name.max_session_s, brisk.agent.stale), (86_400, rotator::Stale::Drop));
    assert_eq!((config.dns.unknown, config.dns.nameservers["ns1"].len()), (UnknownLabel::Nxdomain, 2));
    assert_eq!((config.join.rate.count, config.join.rate.per_s), (5, 1));
    assert_eq!((config.log.format, config.log.level), (LogFormat::Json, LogLevel::Debug));
}

#[test]
fn usual_kinds_of_service_say_what_they_listen_on_and_what_they_ask_for() {
    let of = |lines: &str| {
        let config = taken(&format!("{SMALLEST}[service.a]\nto = \"127.0.0.1:5432\"\n{lines}\n"));
        (config.services["a"].listen.to_string(), config.services["a"].auth)
    };
    let said = |listen: &str, auth| (listen.to_owned(), auth);
    assert_eq!(of(""), said("https/443", Auth::Name));
    assert_eq!(of("proto = \"ssh\""), said("tcp/22", Auth::Address));
    assert_eq!(of("proto = \"tcp\""), said("tcp/5432", Auth::Address));
    let sip = "tls/5061, tcp/5060, udp/5060, udp/16384-16483";
    assert_eq!(of("proto = \"sip\""), said(sip, Auth::Name));
    assert_eq!(of("listen = [\"udp/53\"]"), said("udp/53", Auth::Address));
}

#[test]
fn bytes_that_pass_as_they_come_are_warned_of_once_for_all_services() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("wandergate.toml");
    let warned = |services: &str| {
        std::fs::write(&file, format!("{SMALLEST}{services}")).unwrap();
        let (_, warnings) = config::load_checked(&file).unwrap_or_else(|errors| panic!("{errors}"));
        let told = warnings.iter().map(|warning| (warning.at.map(|at| at.line), warning.message.clone()));
        told.collect::<Vec<_>>()
    };
    let one = "[service.web]\nto = \"127.0.0.1:80\"\nlisten = [\"https/443\", \"tls/993\"]\n";
    assert_eq!(warned(one), []);
    let all = format!(
        "{one}[service.voice]\nto = \"127.0.0.1:5060\"\nproto = \"sip\"\n\
         [service.ssh]\nto = \"127.0.0.1:22\"\nlisten = [\"tcp/22\"]\n"
    );
    let told = warned(&all);
    assert_eq!((told.len(), told[0].0), (1, Some(10)), "{told:?}");
    assert!(told[0].1.starts_with("voice, ssh pass on the bytes"), "{told:?}");
}

#[test]
fn relative_paths_start_at_the_folder_of_the_file() {
    let config = taken(WHOLE);
    let tls = config.tls.unwrap();
    assert_eq!(tls.cert, Path::new("/etc/wandergate/tls/edge.pem"));
    assert_eq!(tls.key, Path::new("/etc/keys/edge.key"));
    assert_eq!(config.state.dir, Path::new("/etc/wandergate/state"));
}

#[test]
fn the_public_door_may_share_the_port_of_the_wildcard_but_not_be_one() {
    let beside = "[edge]\nzone = \"e.net\"\n[pool.v4]\nrange = \"203.0.113.0/24\"\n[join]\nlisten = \"192.0.2.1:443\"\n";
    assert_eq!(taken(beside).join.listen.port(), 443);
    let wild = beside.replace("192.0.2.1:443", "0.0.0.0:443") + "address = \"192.0.2.1\"\n";
    assert!(config::parse(&wild, "w.toml").is_err());
}

#[test]
fn fixed_addresses_may_stand_in_the_reserved_part_of_a_prefix_and_not_one_beyond() {
    let join = |address: &str| format!("{SMALLEST}[join]\naddress = \"{address}\"\n");
    assert!(config::parse(&join("2001:db8:42::ffff"), "w.toml").is_ok());
    assert!(config::parse(&join("2001:db8:42::1:0"), "w.toml").is_err());
    assert!(config::parse(&join("2001:db8:43::1:0"), "w.toml").is_ok());
}

#[test]
fn every_threshold_is_taken_at_it_and_refused_just_beyond() {
    let good_and_bad = [
        ("[schedule.a]\nname = { window = \"7d\" }\n", "[schedule.a]\nname = { window = \"604801s\" }\n"),
        ("[schedule.a]\nname = { grace = \"7d\" }\n", "[schedule.a]\nname = { grace = \"169h\" }\n"),
        ("[schedule.a]\nname = { window = \"120s\" }\n", "[schedule.a]\nname = { window = \"119s\" }\n"),
        ("[schedule.a]\nagent = { lead = \"14s\" }\n", "[schedule.a]\nagent = { lead = \"15s\" }\n"),
        ("[join]\npow_bits = 28\n", "[join]\npow_bits = 29\n"),
        ("[join]\npow_bits = 0\n", "[join]\npow_bits = -1\n"),
        ("[pool.b]\nrange = \"203.0.113.0/28\"\n", "[pool.b]\nrange = \"203.0.113.0/29\"\n"),
        ("[pool.b]\nrange = \"2001:db8::/96\"\n", "[pool.b]\nrange = \"2001:db8::/97\"\n"),
        ("[ops]\nlisten = \"127.255.255.254:1\"\n", "[ops]\nlisten = \"128.0.0.1:1\"\n"),
    ];
    for (good, bad) in good_and_bad {
        taken(&format!("{SMALLEST}{good}"));
        assert!(config::parse(&format!("{SMALLEST}{bad}"), "w.toml").is_err(), "{bad}");
    }
    let named = |length| format!("{SMALLEST}[service.{}]\nto = \"127.0.0.1:1\"\n", "a".repeat(length));
    taken(&named(bounds::NAME_BYTES_MAX));
    assert!(config::parse(&named(bounds::NAME_BYTES_MAX + 1), "w.toml").is_err());
}

/// Anything that could stand in a configuration, in any order.
fn piece() -> impl Strategy<Value = String> {
    let lines: Vec<&'static str> = WHOLE.lines().collect();
    prop_oneof![
        prop::sample::select(lines).prop_map(str::to_owned),
        "[a-z_.\\[\\]{}=\"' #0-9:/-]{0,40}",
        "\\PC{0,20}",
        ("[a-z_]{1,12}", "[a-z]{1,8}|\"[^\"]{0,20}\"|-?[0-9]{1,30}|\\[\\]|\\{\\}|true")
            .prop_map(|(k, v)| format!("{k} = {v}")),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(2000) })]

    #[test]
    fn no_bytes_panic(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        let _ = config::parse_bytes(&bytes, "w.toml").map_err(|errors| (errors.to_string(), errors.to_json()));
    }

    #[test]
    fn no_shuffled_configuration_panics_and_every_refusal_has_a_fix(lines in prop::collection::vec(piece(), 0..30)) {
        if let Err(errors) = config::parse(&lines.join("\n"), "w.toml") {
            prop_assert!(errors.iter().count() > 0);
            prop_assert!(errors.iter().all(|error| error.fix.len() > 5 && error.at.is_some()), "{}", errors);
            prop_assert!(!errors.to_json().to_string().is_empty());
        }
    }

    #[test]
    fn no_single_damaged_byte_panics(at in 0..WHOLE.len(), byte in any::<u8>(), cut in any::<bool>()) {
        let mut bytes = WHOLE.as_bytes().to_vec();
        bytes[at] = byte;
        if cut {
            bytes.truncate(at);
        }
        let _ = config::parse_bytes(&bytes, "w.toml").map_err(|errors| errors.to_string());
    }
}

#[test]
fn r0_09_what_faces_outwards_and_what_is_inside_are_processes_of_their_own() {
    let edge = "roles = [\"ops\", \"edge\", \"dns\", \"register\"]\n".to_owned()
        + SMALLEST
        + "[service.web]\n[fabric]\nwiring = \"w.toml\"\ncredentials = \"e.pem\"\nname = \"edge1\"\n";
    let joined = config::Joined {
        wiring: "/etc/w.toml".into(),
        credentials: "/etc/e.pem".into(),
        name: Some("edge1".into()),
    };
    let config = config::parse(&edge, "/etc/edge.toml").unwrap_or_else(|errors| panic!("{errors}"));
    assert_eq!(config.fabric, config::Fabric::Joined(joined));
    assert_eq!(ops::describe::place(config.services["web"].to), "fabric");
    assert_eq!(taken(SMALLEST).fabric, config::Fabric::Own { hub: "127.0.0.1:7000".parse().unwrap() });
    for inside in ["hub", "local-hub"] {
        let both = edge.replacen("[\"ops\"", &format!("[\"{inside}\", \"ops\""), 1);
        let refused = config::parse(&both, "/etc/edge.toml").unwrap_err().to_string();
        assert!(refused.contains("W-1304") && refused.contains("faces outwards"), "{refused}");
    }
}

#[test]
fn a_hubs_file_is_short() {
    let text = "roles = [\"hub\"]\n[fabric]\nwiring = \"wiring.toml\"\ncredentials = \"hub-a1.pem\"\n";
    let Ok(Setup::Member(hub)) = config::parse_setup(text, "/etc/hub.toml") else { panic!("no member") };
    assert_eq!((hub.role, hub.joined.credentials.as_path()), (MemberRole::Hub, Path::new("/etc/hub-a1.pem")));
    assert_eq!(hub.state_dir, Path::new("/var/lib/wandergate/hub"));
    assert_eq!(hub.socket, Path::new("/var/lib/wandergate/hub/ops.sock"));
    assert!(config::parse(text, "hub.toml").unwrap_err().to_string().contains("not for a gateway"));
}
