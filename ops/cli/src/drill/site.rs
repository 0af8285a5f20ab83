//! What a running edge tells of itself over its ops API: the only word on what is its own.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use anyhow::{Context, Result};
use rotator::pool::Range;
use serde::Deserialize;
use serde_json::Value;

use super::stale::Target;
use crate::rehearsal::operator::Operator;

/// Where a drill takes place.
#[derive(Clone, Debug)]
pub struct Site {
    pub zone: String,
    pub dns: SocketAddr,
    pub join_port: u16,
    /// Ports of its services, each once.
    pub ports: Vec<u16>,
    pools: Vec<(Range, f64)>,
    services: Vec<String>,
}

impl Site {
    /// # Errors
    /// The ops API does not answer, or not as it is documented.
    pub async fn learn(operator: &Operator) -> Result<Self> {
        let status = operator.read("/v1/status").await?;
        let services = operator.read("/v1/services").await?;
        let exposure = operator.read("/v1/exposure").await?;
        Self::of(&status, &services, &exposure).context("the ops API answers otherwise than it is documented")
    }

    fn of(status: &Value, services: &Value, exposure: &Value) -> Option<Self> {
        let text = |path: &str| status.pointer(path).and_then(Value::as_str);
        let listed = services.get("services")?.as_array()?;
        let mut ports: Vec<u16> =
            listed.iter().filter_map(|s| u16::try_from(s.get("port")?.as_u64()?).ok()).collect();
        ports.sort_unstable();
        ports.dedup();
        let pool = |pool: &Value| {
            let range = pool.get("range")?.as_str()?.parse().ok()?;
            Some((range, pool.get("chance_per_guess")?.as_f64()?))
        };
        Some(Self {
            zone: text("/edge/zone")?.to_owned(),
            dns: near(text("/dns/listen/0")?.parse().ok()?),
            join_port: port(text("/registration/url")?)?,
            ports,
            pools: exposure.get("pools")?.as_array()?.iter().map(pool).collect::<Option<_>>()?,
            services: listed.iter().filter_map(|s| Some(s.get("name")?.as_str()?.to_owned())).collect(),
        })
    }

    pub fn ranges(&self) -> Vec<Range> {
        self.pools.iter().map(|(range, _)| *range).collect()
    }

    /// That one guess meets an accepted address, when each pool is as likely.
    pub fn chance_per_guess(&self) -> f64 {
        let sum: f64 = self.pools.iter().map(|(_, chance)| chance).sum();
        sum / self.pools.len().max(1) as f64
    }

    /// Every window that stands now, with address and names. Asking is audited.
    ///
    /// # Errors
    /// As [`Site::learn`].
    pub async fn windows(&self, operator: &Operator) -> Result<Windows> {
        let mut all = Windows(Vec::new());
        for service in &self.services {
            let answer =
                operator.read(&format!("/v1/windows?service={service}&reveal=true&limit=1000")).await?;
            let windows = answer.get("windows").cloned().unwrap_or_default();
            all.0.extend(serde_json::from_value::<Vec<Window>>(windows)?);
        }
        Ok(all)
    }
}

/// An address and its stage of life.
#[derive(Clone, Debug, Deserialize)]
struct Window {
    grant: u32,
    state: String,
    port: u16,
    address: Option<IpAddr>,
    #[serde(default)]
    names: Vec<String>,
}

/// Windows of all grants.
#[derive(Clone, Debug)]
pub struct Windows(Vec<Window>);

impl Windows {
    /// Closed addresses, each with its own right name.
    pub fn stale(&self) -> Vec<Target> {
        let closed = self.0.iter().filter(|window| window.state == "tombstone");
        closed.filter_map(|window| window.target(window.names.first()?)).collect()
    }

    /// Live addresses, each with the name of another grant.
    pub fn crossed(&self) -> Vec<Target> {
        let live: Vec<&Window> = self.0.iter().filter(|window| window.state == "live").collect();
        let pairs = live.iter().zip(live.iter().cycle().skip(1));
        let others = pairs.filter(|(window, other)| window.grant != other.grant);
        others.filter_map(|(window, other)| window.target(other.names.first()?)).collect()
    }
}

impl Window {
    fn target(&self, name: &str) -> Option<Target> {
        Some((SocketAddr::new(self.address?, self.port), name.to_owned()))
    }
}

/// Where a listener is reached from this machine.
fn near(listener: SocketAddr) -> SocketAddr {
    let ip = match listener.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => IpAddr::V4(Ipv4Addr::LOCALHOST),
        IpAddr::V6(ip) if ip.is_unspecified() => IpAddr::V6(Ipv6Addr::LOCALHOST),
        ip => ip,
    };
    SocketAddr::new(ip, listener.port())
}

fn port(url: &str) -> Option<u16> {
    let url: http::Uri = url.parse().ok()?;
    Some(url.port_u16().unwrap_or(443))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_site_is_read_from_the_api_and_a_missing_part_is_noticed() {
        let status = json!({"edge": {"zone": "z.test"}, "dns": {"listen": ["0.0.0.0:5353"]}, "registration": {"url": "https://join.z.test:8444/"}});
        let services = json!({"services": [{"name": "web", "port": 443}, {"name": "ssh", "port": 443}]});
        let exposure = json!({"pools": [{"range": "127.83.0.0/16", "chance_per_guess": 0.5}, {"range": "2001:db8::/64", "chance_per_guess": 0.0}]});
        let site = Site::of(&status, &services, &exposure).unwrap();
        assert_eq!(
            (site.zone.as_str(), site.dns, site.join_port),
            ("z.test", "127.0.0.1:5353".parse().unwrap(), 8444)
        );
        assert_eq!((site.ports.as_slice(), site.ranges().len()), ([443].as_slice(), 2));
        assert_eq!(site.chance_per_guess(), 0.25);
        assert!(Site::of(&json!({}), &services, &exposure).is_none());
        assert!(
            Site::of(&status, &services, &json!({"pools": [{"range": "x", "chance_per_guess": 0}]}))
                .is_none()
        );
    }

    #[test]
    fn stale_targets_are_tombstones_and_crossed_ones_never_bear_their_own_name() {
        let window = |grant, state: &str, last: u8| Window {
            grant,
            state: state.to_owned(),
            port: 443,
            address: Some(IpAddr::V4(Ipv4Addr::new(127, 83, 0, last))),
            names: vec![format!("g{grant}.z.test")],
        };
        let windows = Windows(vec![
            window(1, "live", 1),
            window(1, "tombstone", 2),
            window(2, "live", 3),
            window(2, "grace", 4),
        ]);
        assert_eq!(windows.stale(), [("127.83.0.2:443".parse().unwrap(), "g1.z.test".to_owned())]);
        let crossed = windows.crossed();
        assert_eq!(crossed.len(), 2);
        assert!(crossed.contains(&("127.83.0.1:443".parse().unwrap(), "g2.z.test".to_owned())));
        assert!(Windows(vec![window(1, "live", 1)]).crossed().is_empty());
    }
}
