//! Why something was refused or went wrong: one closed vocabulary for the whole product.
//!
//! The rows stand in `reason/table.rs`, one per reason; this file turns them into the type. Codes are stable: a
//! retired row's code is never given to another.

mod table;

use serde::{Deserialize, Serialize};

/// Who has to do something about it. Reply, log level and evidence follow from this.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Fault {
    /// Who called us broke the rules, or is not (or no longer) entitled.
    Client,
    /// A service behind us failed.
    Upstream,
    /// We failed, or protect ourselves.
    Ours,
    /// Who runs this deployment has to change something.
    Operator,
}

/// Which part of the product speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Layer {
    /// Admission of connections, and their end.
    Edge,
    /// Requests on admitted connections.
    Request,
    /// Fabric and services.
    Upstream,
    Registration,
    Renewal,
    Dns,
    Ops,
    State,
    Config,
    Process,
}

macro_rules! reasons {
    ($($variant:ident $name:ident $code:literal $fault:ident $layer:ident $status:literal
        $what:literal $why:literal $fix:literal;)+) => {
        /// One reason. `name()` is also its form in JSON and logs.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(rename_all = "snake_case")]
        pub enum Reason {
            $(#[doc = concat!("`W-", $code, "`: ", $what)] $variant,)+
        }

        impl Reason {
            pub const ALL: &'static [Self] = &[$(Self::$variant),+];

            const ROWS: &'static [Row] = &[$(Row {
                name: stringify!($name),
                code: concat!("W-", $code),
                fault: Fault::$fault,
                layer: Layer::$layer,
                status: $status,
                what: $what,
                why: $why,
                fix: $fix,
            }),+];
        }
    };
}

table::rows!(reasons);

struct Row {
    name: &'static str,
    code: &'static str,
    fault: Fault,
    layer: Layer,
    status: u16,
    what: &'static str,
    why: &'static str,
    fix: &'static str,
}

impl Reason {
    const fn row(self) -> &'static Row {
        // Rows and variants come from the same table in the same order, so the index is always inside.
        &Self::ROWS[self as usize]
    }

    /// Its place in [`Reason::ALL`], for tables by reason. Not stable between versions.
    pub const fn index(self) -> usize {
        self as usize
    }

    /// For people and documents: `W-4102`. Stable.
    pub const fn code(self) -> &'static str {
        self.row().code
    }

    /// For programs: `invite_used`. Stable.
    pub const fn name(self) -> &'static str {
        self.row().name
    }

    pub const fn fault(self) -> Fault {
        self.row().fault
    }

    pub const fn layer(self) -> Layer {
        self.row().layer
    }

    /// What happened, in one sentence.
    pub const fn what(self) -> &'static str {
        self.row().what
    }

    /// Why, in a sentence or two.
    pub const fn why(self) -> &'static str {
        self.row().why
    }

    /// What to do about it.
    pub const fn fix(self) -> &'static str {
        self.row().fix
    }

    /// The status (400..=599) of an HTTP answer that carries it. Whether there is an answer at all is the verdict's
    /// business: a stranger gets silence.
    pub const fn http_status(self) -> u16 {
        self.row().status
    }

    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|r| r.name() == name)
    }

    /// Takes `W-4102`, in any letter case.
    pub fn from_code(code: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|r| r.code().eq_ignore_ascii_case(code))
    }
}

impl std::fmt::Display for Reason {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn codes_and_names_are_unique_and_lead_back_to_the_reason() {
        let codes: BTreeSet<_> = Reason::ALL.iter().map(|r| r.code()).collect();
        let names: BTreeSet<_> = Reason::ALL.iter().map(|r| r.name()).collect();
        assert_eq!((codes.len(), names.len()), (Reason::ALL.len(), Reason::ALL.len()));
        for (i, &reason) in Reason::ALL.iter().enumerate() {
            assert_eq!(reason.index(), i);
            assert_eq!(Reason::from_code(&reason.code().to_lowercase()), Some(reason));
            assert_eq!(Reason::from_name(reason.name()), Some(reason));
            assert_eq!(serde_json::to_value(reason).unwrap(), reason.name());
        }
        assert_eq!((Reason::from_code("W-0000"), Reason::from_name("pass")), (None, None));
    }

    #[test]
    fn every_text_is_a_sentence_and_every_code_has_four_digits() {
        for &reason in Reason::ALL {
            for text in [reason.what(), reason.why(), reason.fix()] {
                assert!(text.len() >= 12 && text.ends_with('.'), "{reason}: {text:?}");
                assert!(text.starts_with(|c: char| c.is_ascii_uppercase()), "{reason}: {text:?}");
                assert!(!text.contains("  ") && !text.contains('\n'), "{reason}: {text:?}");
            }
            assert!(reason.what() != reason.why() && reason.why() != reason.fix(), "{reason}");
            let digits = reason.code().strip_prefix("W-").unwrap();
            assert!(digits.len() == 4 && digits.bytes().all(|b| b.is_ascii_digit()), "{reason}");
            assert!((400..600).contains(&reason.http_status()), "{reason}");
        }
    }

    #[test]
    fn a_client_never_gets_a_server_error_and_a_service_never_a_client_error() {
        for &reason in Reason::ALL {
            match reason.fault() {
                Fault::Client => assert!(reason.http_status() < 500, "{reason}"),
                Fault::Upstream => assert!(reason.http_status() >= 500, "{reason}"),
                Fault::Ours | Fault::Operator => {}
            }
        }
    }

    #[test]
    fn codes_promised_to_people_keep_their_meaning() {
        let promised = [
            ("W-1101", "port_in_use"),
            ("W-1401", "key_file_readable"),
            ("W-4102", "invite_used"),
            ("W-4108", "user_revoked"),
            ("W-5201", "store_unreachable"),
            ("W-1301", "config_unknown_key"),
            ("W-2301", "clock_skew"),
        ];
        for (code, name) in promised {
            assert_eq!(Reason::from_code(code).map(Reason::name), Some(name));
        }
        // Spoken for by messages that are no refusals yet.
        for code in ["W-3106", "W-3107", "W-3110", "W-4205", "W-4301", "W-4401", "W-5103"] {
            assert_eq!(Reason::from_code(code), None);
        }
    }
}
