//! The syntax of single values: durations, rates, names, addresses.

use std::net::{IpAddr, SocketAddr};

use ipnet::IpNet;
use state::bounds::{BODY_BYTES_MAX, BUDGET_BYTES_MIN};

use super::Rate;
use super::bounds::{DEVICE_BYTES_MAX, MEMORY_MIN, NAME_BYTES_MAX, RATE_COUNT_MAX, ZONE_BYTES_MAX};

/// Why a value will not do (continues "edge.zone = \"…\" "), and what to write instead.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Bad {
    pub(crate) why: String,
    pub(crate) fix: String,
}

impl Bad {
    pub(crate) fn new(why: &str, fix: &str) -> Self {
        Self { why: why.to_owned(), fix: fix.to_owned() }
    }
}

const UNITS: [(&str, u32); 4] = [("s", 1), ("m", 60), ("h", 3600), ("d", 24 * 3600)];

/// `15s`, `30m`, `12h`, `7d`: in seconds.
pub(crate) fn duration(text: &str) -> Result<u32, Bad> {
    let split = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (digits, unit) = text.split_at(split);
    if digits.is_empty() {
        return Err(Bad::new(
            "is not a duration",
            "Write a whole number and a unit: \"15s\", \"30m\", \"12h\", \"7d\".",
        ));
    }
    let Some((_, scale)) = UNITS.iter().find(|(name, _)| *name == unit) else {
        let why = if unit.is_empty() {
            "has no unit".to_owned()
        } else {
            format!("has no unit that I know (\"{unit}\")")
        };
        return Err(Bad::new(
            &why,
            &format!("Write \"{digits}s\", \"{digits}m\", \"{digits}h\" or \"{digits}d\"."),
        ));
    };
    let seconds = digits.parse::<u32>().ok().and_then(|number| number.checked_mul(*scale));
    seconds.ok_or_else(|| Bad::new("is too long", "Write at most \"30d\"."))
}

/// Seconds as [`duration`] reads them, in the largest unit that fits.
pub(crate) fn duration_text(seconds: u32) -> String {
    let fits = UNITS.iter().rev().find(|(_, scale)| seconds >= *scale && seconds.is_multiple_of(*scale));
    fits.map_or_else(|| format!("{seconds}s"), |(unit, scale)| format!("{}{unit}", seconds / scale))
}

const SIZES: [(&str, u32); 4] = [("", 0), ("K", 10), ("M", 20), ("G", 30)];

/// `64K`, `100M`, `2G`, or a plain number of bytes; K is 1,024.
pub(crate) fn size(text: &str) -> Result<u64, Bad> {
    let bad = |why: &str| Bad::new(why, "Write a whole number and a unit: \"64K\", \"100M\", \"2G\".");
    let split = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (digits, unit) = text.split_at(split);
    let (_, shift) =
        SIZES.iter().find(|(name, _)| *name == unit).ok_or_else(|| bad("has no unit that I know"))?;
    let bytes = digits.parse::<u64>().map_err(|_| bad("is not a size"))?.checked_mul(1 << shift);
    bytes.filter(|bytes| *bytes <= BODY_BYTES_MAX).ok_or_else(|| bad("is too large"))
}

/// As [`size`], at least [`MEMORY_MIN`].
pub(crate) fn memory(text: &str) -> Result<u64, Bad> {
    size_from(text, MEMORY_MIN)
}

/// As [`size`], at least [`BUDGET_BYTES_MIN`]: what a lease may take each second.
pub(crate) fn flow(text: &str) -> Result<u64, Bad> {
    size_from(text, BUDGET_BYTES_MIN)
}

/// `least` is a whole number of K.
fn size_from(text: &str, least: u64) -> Result<u64, Bad> {
    let (shift, unit) = if least.is_multiple_of(1 << 20) { (20, "M") } else { (10, "K") };
    let bytes = size(text)?;
    match bytes >= least {
        true => Ok(bytes),
        false => Err(Bad::new("is too little", &format!("Write \"{}{unit}\" or more.", least >> shift))),
    }
}

/// `30/min`: so many per second, minute, hour or day.
pub(crate) fn rate(text: &str) -> Result<Rate, Bad> {
    let bad =
        |why: &str| Bad::new(why, "Write a count and a period: \"5/s\", \"30/min\", \"100/h\", \"500/d\".");
    let (count, period) = text.split_once('/').ok_or_else(|| bad("is not a rate"))?;
    let per_s = match period {
        "s" => 1,
        "m" | "min" => 60,
        "h" => 3600,
        "d" => 24 * 3600,
        _ => return Err(bad(&format!("has no period that I know (\"{period}\")"))),
    };
    let count = count.parse().map_err(|_| bad("has no whole number before the slash"))?;
    match (1..=RATE_COUNT_MAX).contains(&count) {
        true => Ok(Rate { count, per_s }),
        false => Err(Bad::new(
            &format!("is not 1 to {RATE_COUNT_MAX} per period"),
            "Write a count in these bounds.",
        )),
    }
}

/// Name of an edge, pool, service or schedule: one lower-case DNS label.
pub(crate) fn name(text: &str) -> Result<String, Bad> {
    label(text)
        .map_err(|why| Bad::new(&why, "Use a to z, 0 to 9 and hyphens inside, at most 63: \"web-2\"."))?;
    if text.bytes().any(|b| b.is_ascii_uppercase()) {
        let fix = format!("Write \"{}\".", text.to_ascii_lowercase());
        return Err(Bad::new("has upper-case letters", &fix));
    }
    Ok(text.to_owned())
}

/// A zone to be delegated, in lower case and without a dot at the end.
pub(crate) fn zone(text: &str) -> Result<String, Bad> {
    let example = "Write the name that is delegated to this machine: zone = \"edge.example.net\".";
    let name = text.strip_suffix('.').unwrap_or(text);
    if name.is_empty() {
        return Err(Bad::new("is empty", example));
    }
    if name.len() > ZONE_BYTES_MAX {
        let why =
            format!("is longer than {ZONE_BYTES_MAX} bytes, which leaves no room for private names in it");
        return Err(Bad::new(&why, example));
    }
    for part in name.split('.') {
        label(part).map_err(|why| {
            Bad::new(&format!("is not a DNS name: \"{}\" {why}", part.escape_debug()), example)
        })?;
    }
    let last = name.rsplit('.').next().unwrap_or_default();
    match last.bytes().all(|b| b.is_ascii_digit()) {
        true => Err(Bad::new("is not a DNS name: it ends in a number, as an address does", example)),
        false => Ok(name.to_ascii_lowercase()),
    }
}

fn label(text: &str) -> Result<(), String> {
    if text.is_empty() {
        return Err("is empty".to_owned());
    }
    if text.len() > NAME_BYTES_MAX {
        return Err(format!("is longer than {NAME_BYTES_MAX} bytes"));
    }
    if let Some(wrong) = text.chars().find(|c| !c.is_ascii_alphanumeric() && *c != '-') {
        return Err(format!("has the character {wrong:?}"));
    }
    match text.starts_with('-') || text.ends_with('-') {
        true => Err("begins or ends with a hyphen".to_owned()),
        false => Ok(()),
    }
}

pub(crate) fn device(text: &str) -> Result<String, Bad> {
    let fine = |b: u8| b.is_ascii_graphic() && b != b'/' && b != b':';
    match (1..=DEVICE_BYTES_MAX).contains(&text.len()) && text.bytes().all(fine) {
        true => Ok(text.to_owned()),
        false => Err(Bad::new(
            "is not the name of an interface",
            "Name one that `ip link` lists, such as \"eth0\": at most 15 characters, no space or slash.",
        )),
    }
}

pub(crate) fn address(text: &str) -> Result<IpAddr, Bad> {
    if text.parse::<SocketAddr>().is_ok() {
        return Err(Bad::new("has a port, where an address alone belongs", "Write it without the port."));
    }
    let bare = text.trim_start_matches('[').trim_end_matches(']');
    text.parse().map_err(|_| match bare.parse::<IpAddr>() {
        Ok(address) => Bad::new(
            "has brackets, which only an address with a port needs",
            &format!("Write \"{address}\"."),
        ),
        Err(_) => Bad::new(
            "is not an IP address",
            "Write one such as \"192.0.2.1\" or \"2001:db8::1\"; names are not looked up.",
        ),
    })
}

/// A network whose word is trusted: an address, or a prefix with nothing set behind it.
pub(crate) fn network(text: &str) -> Result<IpNet, Bad> {
    let example = "Write networks such as \"10.0.0.0/8\" or \"2001:db8:7::/64\", or single addresses.";
    if let Ok(address) = text.parse::<IpAddr>() {
        return Ok(address.into());
    }
    let network: IpNet = text.parse().map_err(|_| Bad::new("is no network", example))?;
    if network.prefix_len() == 0 {
        let why = "is everybody, who could then claim to be anybody";
        return Err(Bad::new(why, "Name the networks of the balancers alone."));
    }
    match network.trunc() {
        whole if whole == network => Ok(network),
        whole => Err(Bad::new("has bits behind its prefix", &format!("Write \"{whole}\"."))),
    }
}

/// An address that something can be reached at.
pub(crate) fn reachable(text: &str) -> Result<IpAddr, Bad> {
    let address = address(text)?;
    match address.is_unspecified() || address.is_multicast() {
        true => Err(Bad::new(
            "is an address that nobody can be reached at",
            "Write the address that others connect to.",
        )),
        false => Ok(address),
    }
}

/// Where to listen: an address, which may be a wildcard, and a port.
pub(crate) fn listener(text: &str) -> Result<SocketAddr, Bad> {
    let example = "Write an address and a port: \"127.0.0.1:7000\" or \"[::1]:7000\".";
    if let Ok(socket) = text.parse::<SocketAddr>() {
        return match socket.port() {
            0 => Err(Bad::new(
                "has port 0, which is a different port at each start",
                "Write a port from 1 to 65535.",
            )),
            _ => Ok(socket),
        };
    }
    if let Ok(address) = text.parse::<IpAddr>() {
        let with_port = SocketAddr::new(address, 7000);
        return Err(Bad::new("has no port", &format!("Add one: \"{with_port}\".")));
    }
    let (host, port) = text.rsplit_once(':').unwrap_or((text, ""));
    if port.parse::<u64>().is_ok_and(|port| port > u64::from(u16::MAX)) {
        return Err(Bad::new("has a port above 65535", "Write a port from 1 to 65535."));
    }
    if host == "localhost" && port.parse::<u16>().is_ok() {
        return Err(Bad::new(
            "has a name, but names are not looked up",
            &format!("Write \"127.0.0.1:{port}\"."),
        ));
    }
    Err(Bad::new("is not an address and a port", example))
}

/// Where a service is: an address that can be reached, and a port.
pub(crate) fn target(text: &str) -> Result<SocketAddr, Bad> {
    if let Some(scheme) = ["http://", "https://", "tcp://"].iter().find(|scheme| text.starts_with(**scheme)) {
        let bare = text.trim_start_matches(scheme).trim_end_matches('/');
        return Err(Bad::new("is a URL, where an address and a port belong", &format!("Write \"{bare}\".")));
    }
    let socket = listener(text)?;
    match socket.ip().is_unspecified() || socket.ip().is_multicast() {
        true => Err(Bad::new(
            "is an address that nobody can be reached at",
            &format!("Write where the service is: \"127.0.0.1:{}\".", socket.port()),
        )),
        false => Ok(socket),
    }
}
