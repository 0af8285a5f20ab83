//! Where something stands in the wiring file: `plane.A.hub.a1.members`, `edge.fra1.opens[0]`. Pure.

use std::fmt;

/// The path of a key, as the file's reader writes it too.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Place(String);

impl Place {
    /// `host.NAME`
    pub fn host(name: &str) -> Self {
        Self(format!("host.{name}"))
    }

    /// `plane.NAME`
    pub fn plane(name: &str) -> Self {
        Self(format!("plane.{name}"))
    }

    /// `plane.PLANE.hub.NAME`
    pub fn hub(plane: &str, name: &str) -> Self {
        Self(format!("plane.{plane}.hub.{name}"))
    }

    /// `local_hub.NAME`
    pub fn local_hub(name: &str) -> Self {
        Self(format!("local_hub.{name}"))
    }

    /// `local_hub.NAME.service.SERVICE`
    pub fn service(local_hub: &str, service: &str) -> Self {
        Self(format!("local_hub.{local_hub}.service.{service}"))
    }

    /// `server.NAME`
    pub fn server(name: &str) -> Self {
        Self(format!("server.{name}"))
    }

    /// `edge.NAME`
    pub fn edge(name: &str) -> Self {
        Self(format!("edge.{name}"))
    }

    /// `egress.NAME`
    pub fn egress(name: &str) -> Self {
        Self(format!("egress.{name}"))
    }

    /// A key below.
    #[must_use]
    pub fn key(self, key: &str) -> Self {
        Self(format!("{}.{key}", self.0))
    }

    /// An entry of a list, from 0.
    #[must_use]
    pub fn item(self, index: usize) -> Self {
        Self(format!("{}[{index}]", self.0))
    }

    /// The path.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
