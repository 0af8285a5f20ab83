//! Why something was refused or ended: three closed lists, each with stable codes.

use std::fmt;
use std::io;

use crate::bounds;

/// Why a stream was refused or ended, or a lane was turned away. Travels as one byte.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Refusal {
    /// No wiring names this service.
    ServiceUnknown,
    /// The service is wired, but no connected local hub offers it now.
    ServiceNotOffered,
    /// The local hub could not connect to the service.
    ServiceUnreachable,
    /// The service broke its connection.
    ServiceReset,
    /// The wiring does not let this identity do that.
    NotPermitted,
    /// There is no ready link to carry the stream.
    LinkDown,
    /// The lane that carried the stream was lost.
    LaneLost,
    /// A table of the hub is full.
    HubBusy,
    /// The far side broke the protocol.
    Violation,
    /// The far side no longer wants the stream.
    Cancelled,
    /// The time allowed ran out.
    Deadline,
    /// The far side is shutting down.
    ShuttingDown,
    /// The protocol version is not spoken here.
    VersionUnsupported,
    /// The certificate's role may not do this here.
    WrongRole,
    /// The Hello names another member than the certificate.
    WrongName,
    /// That lane of the link is connected already: a seventh connection.
    LaneTaken,
    /// Another process holds a link under the same identity.
    IdentityTaken,
    /// This hub is not the active one of its plane.
    Standby,
    /// The hub ceased to be the active one.
    NotActive,
    /// The hub speaks for a term that is over.
    TermStale,
    /// The hub cannot prove the term that it claims.
    MandateInvalid,
    /// The certificate that was last proved in the lane expired.
    CertificateExpired,
    /// The local hub does not have the session that was to be resumed, or no longer what was missed of it.
    ResumeUnknown,
    /// The service takes no new streams: it is being drained.
    ServiceDraining,
    /// Too many datagram flows at once.
    FlowLimit,
    /// The local hub can keep no further session.
    SessionsFull,
}

/// Who has to act on a refusal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// Whoever asked.
    Caller,
    /// The service or its local hub.
    Service,
    /// The fabric between them.
    Fabric,
}

/// What a refusal means for a session ([`crate::session`]) that is told so.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Recovery {
    /// Only the way is lost: the session goes on over another.
    Resumes,
    /// An attempt to go on failed, and may be made again; nothing that happens to a session under way.
    Retries,
    /// The session is over.
    Final,
}

impl Refusal {
    /// All of them, in the order of their wire codes, which begin at 1.
    pub const ALL: [Self; 26] = [
        Self::ServiceUnknown,
        Self::ServiceNotOffered,
        Self::ServiceUnreachable,
        Self::ServiceReset,
        Self::NotPermitted,
        Self::LinkDown,
        Self::LaneLost,
        Self::HubBusy,
        Self::Violation,
        Self::Cancelled,
        Self::Deadline,
        Self::ShuttingDown,
        Self::VersionUnsupported,
        Self::WrongRole,
        Self::WrongName,
        Self::LaneTaken,
        Self::IdentityTaken,
        Self::Standby,
        Self::NotActive,
        Self::TermStale,
        Self::MandateInvalid,
        Self::CertificateExpired,
        Self::ResumeUnknown,
        Self::ServiceDraining,
        Self::FlowLimit,
        Self::SessionsFull,
    ];

    /// The stable name.
    pub fn code(self) -> &'static str {
        match self {
            Self::ServiceUnknown => "service_unknown",
            Self::ServiceNotOffered => "service_not_offered",
            Self::ServiceUnreachable => "service_unreachable",
            Self::ServiceReset => "service_reset",
            Self::NotPermitted => "not_permitted",
            Self::LinkDown => "link_down",
            Self::LaneLost => "lane_lost",
            Self::HubBusy => "hub_busy",
            Self::Violation => "violation",
            Self::Cancelled => "cancelled",
            Self::Deadline => "deadline",
            Self::ShuttingDown => "shutting_down",
            Self::VersionUnsupported => "version_unsupported",
            Self::WrongRole => "wrong_role",
            Self::WrongName => "wrong_name",
            Self::LaneTaken => "lane_taken",
            Self::IdentityTaken => "identity_taken",
            Self::Standby => "standby",
            Self::NotActive => "not_active",
            Self::TermStale => "term_stale",
            Self::MandateInvalid => "mandate_invalid",
            Self::CertificateExpired => "certificate_expired",
            Self::ResumeUnknown => "resume_unknown",
            Self::ServiceDraining => "service_draining",
            Self::FlowLimit => "flow_limit",
            Self::SessionsFull => "sessions_full",
        }
    }

    /// Whose fault it is.
    pub fn fault(self) -> Fault {
        match self {
            Self::ServiceUnknown
            | Self::NotPermitted
            | Self::Cancelled
            | Self::VersionUnsupported
            | Self::WrongRole
            | Self::WrongName
            | Self::LaneTaken
            | Self::IdentityTaken
            | Self::FlowLimit => Fault::Caller,
            Self::ServiceNotOffered
            | Self::ServiceUnreachable
            | Self::ServiceReset
            | Self::Deadline
            | Self::ResumeUnknown
            | Self::ServiceDraining
            | Self::SessionsFull => Fault::Service,
            Self::LinkDown
            | Self::LaneLost
            | Self::HubBusy
            | Self::Violation
            | Self::ShuttingDown
            | Self::Standby
            | Self::NotActive
            | Self::TermStale
            | Self::MandateInvalid
            | Self::CertificateExpired => Fault::Fabric,
        }
    }

    /// Whether a session survives it.
    pub fn recovery(self) -> Recovery {
        match self {
            Self::LinkDown
            | Self::LaneLost
            | Self::ShuttingDown
            | Self::Standby
            | Self::NotActive
            | Self::TermStale
            | Self::MandateInvalid
            | Self::CertificateExpired => Recovery::Resumes,
            // A hub that has just become active may not yet have the local hub's link; one that is busy may have room soon.
            Self::ServiceNotOffered | Self::HubBusy | Self::Deadline => Recovery::Retries,
            Self::ServiceUnknown
            | Self::ServiceUnreachable
            | Self::ServiceReset
            | Self::NotPermitted
            | Self::Violation
            | Self::Cancelled
            | Self::VersionUnsupported
            | Self::WrongRole
            | Self::WrongName
            | Self::LaneTaken
            | Self::IdentityTaken
            | Self::ResumeUnknown
            | Self::ServiceDraining
            | Self::FlowLimit
            | Self::SessionsFull => Recovery::Final,
        }
    }

    /// The refusal inside an error that a [`crate::FabricStream`] returned.
    pub fn of(error: &io::Error) -> Option<Self> {
        error.get_ref().and_then(|inner| inner.downcast_ref::<Self>()).copied()
    }

    pub(crate) fn to_wire(self) -> u8 {
        self as u8 + 1
    }

    pub(crate) fn from_wire(code: u8) -> Option<Self> {
        Self::ALL.get(usize::from(code).checked_sub(1)?).copied()
    }

    pub(crate) fn into_io(self) -> io::Error {
        let kind = match self {
            Self::Deadline => io::ErrorKind::TimedOut,
            Self::NotPermitted | Self::WrongRole | Self::WrongName => io::ErrorKind::PermissionDenied,
            Self::ServiceUnknown | Self::ServiceNotOffered | Self::ResumeUnknown => io::ErrorKind::NotFound,
            Self::ServiceUnreachable | Self::ServiceDraining => io::ErrorKind::ConnectionRefused,
            Self::LinkDown | Self::HubBusy | Self::Standby | Self::FlowLimit | Self::SessionsFull => {
                io::ErrorKind::NotConnected
            }
            Self::ServiceReset
            | Self::LaneLost
            | Self::Violation
            | Self::Cancelled
            | Self::ShuttingDown
            | Self::VersionUnsupported
            | Self::LaneTaken
            | Self::IdentityTaken
            | Self::NotActive
            | Self::TermStale
            | Self::MandateInvalid
            | Self::CertificateExpired => io::ErrorKind::ConnectionReset,
        };
        io::Error::new(kind, self)
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.code())
    }
}

impl std::error::Error for Refusal {}

/// How the far side broke the protocol; always ends the lane.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Violation {
    /// A payload longer than its kind allows.
    FrameTooLong,
    /// A kind that this version does not know.
    KindUnknown,
    /// A payload that does not parse, or an empty data or credit frame.
    Malformed,
    /// A frame that has no place here: Hello twice, an offer on a bulk lane, Opened for one's own stream.
    Unexpected,
    /// More bytes than were credited.
    CreditOverrun,
    /// Credit beyond [`bounds::CREDIT_MAX`].
    CreditOverflow,
    /// A frame for a stream that was never opened.
    StreamUnknown,
    /// An Open whose id has the wrong parity or is not new.
    StreamIdMisused,
    /// Bytes after Fin or Reset.
    AfterFin,
    /// More answers demanded than the lane may keep waiting.
    Flood,
    /// An Ack of bytes that were never sent.
    AckBeyondSent,
    /// A Proof that proves nothing: a foreign authority, another identity, an expired leaf, a signature not of this lane.
    ProofInvalid,
}

impl Violation {
    /// The stable name.
    pub fn code(self) -> &'static str {
        match self {
            Self::FrameTooLong => "frame_too_long",
            Self::KindUnknown => "kind_unknown",
            Self::Malformed => "malformed",
            Self::Unexpected => "unexpected",
            Self::CreditOverrun => "credit_overrun",
            Self::CreditOverflow => "credit_overflow",
            Self::StreamUnknown => "stream_unknown",
            Self::StreamIdMisused => "stream_id_misused",
            Self::AfterFin => "after_fin",
            Self::Flood => "flood",
            Self::AckBeyondSent => "ack_beyond_sent",
            Self::ProofInvalid => "proof_invalid",
        }
    }
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.code())
    }
}

/// Why a lane, or the attempt to make one, ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LaneEnd {
    /// The TCP connection could not be made.
    Unreachable(io::ErrorKind),
    /// TLS failed: plaintext, garbage, a foreign authority, an expired certificate, a wrong name.
    TlsFailed,
    /// TLS and Hello took longer than [`bounds::HANDSHAKE_DEADLINE`].
    HandshakeDeadline,
    /// Too many connections were half open.
    HalfOpenFull,
    /// The far side broke the protocol.
    Violation(Violation),
    /// We refused the far side.
    Refused(Refusal),
    /// The far side refused or closed, and said why.
    RefusedByFar(Refusal),
    /// The connection ended without a word.
    Closed,
    /// The connection broke.
    Broken(io::ErrorKind),
    /// Nothing was heard for [`bounds::SILENT_MAX`], or [`bounds::PROBE_MAX`] after a probe.
    Silent,
    /// The far side took nothing for [`bounds::STALLED_MAX`].
    Stalled,
    /// We were told to stop.
    Stopped,
}

impl LaneEnd {
    /// The stable name; for violations and refusals that of the inner reason.
    pub fn code(self) -> &'static str {
        match self {
            Self::Unreachable(_) => "unreachable",
            Self::TlsFailed => "tls_failed",
            Self::HandshakeDeadline => "handshake_deadline",
            Self::HalfOpenFull => "half_open_full",
            Self::Violation(violation) => violation.code(),
            Self::Refused(refusal) | Self::RefusedByFar(refusal) => refusal.code(),
            Self::Closed => "closed",
            Self::Broken(_) => "broken",
            Self::Silent => "silent",
            Self::Stalled => "stalled",
            Self::Stopped => "stopped",
        }
    }

    /// What the streams of a lane that ended so are told.
    pub(crate) fn for_streams(self) -> Refusal {
        match self {
            Self::Violation(_) => Refusal::Violation,
            Self::Refused(refusal) | Self::RefusedByFar(refusal) => refusal,
            Self::Stopped => Refusal::ShuttingDown,
            Self::Unreachable(_)
            | Self::TlsFailed
            | Self::HandshakeDeadline
            | Self::HalfOpenFull
            | Self::Closed
            | Self::Broken(_)
            | Self::Silent
            | Self::Stalled => Refusal::LaneLost,
        }
    }
}

impl fmt::Display for LaneEnd {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.code())
    }
}

/// A name as the fabric allows it: 1 to [`bounds::NAME_MAX`] of ASCII letters, digits, and `. _ - :`, so that it can go
/// into a log line, a URI and a certificate as it is.
pub fn is_name(name: &str) -> bool {
    !name.is_empty()
        && name.len() <= bounds::NAME_MAX
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-' | b':'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_refusal_survives_the_wire_and_has_its_own_code() {
        let mut codes = std::collections::BTreeSet::new();
        for refusal in Refusal::ALL {
            assert_eq!(Refusal::from_wire(refusal.to_wire()), Some(refusal));
            assert!(codes.insert(refusal.code()));
            assert_eq!(Refusal::of(&refusal.into_io()), Some(refusal));
        }
        assert_eq!(Refusal::from_wire(0), None);
        assert_eq!(Refusal::from_wire(Refusal::ALL.len() as u8 + 1), None);
    }

    #[test]
    fn only_the_loss_of_a_way_is_survived_and_only_a_way_not_yet_there_is_tried_again() {
        let with = |recovery| -> Vec<_> {
            Refusal::ALL
                .into_iter()
                .filter(|refusal| refusal.recovery() == recovery)
                .map(Refusal::code)
                .collect()
        };
        assert_eq!(
            with(Recovery::Resumes),
            [
                "link_down",
                "lane_lost",
                "shutting_down",
                "standby",
                "not_active",
                "term_stale",
                "mandate_invalid",
                "certificate_expired"
            ]
        );
        assert_eq!(with(Recovery::Retries), ["service_not_offered", "hub_busy", "deadline"]);
        assert_eq!(with(Recovery::Final).len(), Refusal::ALL.len() - 11);
        for refusal in Refusal::ALL.into_iter().filter(|refusal| refusal.recovery() == Recovery::Resumes) {
            assert_eq!(refusal.fault(), Fault::Fabric, "{refusal}");
        }
    }

    #[test]
    fn names_have_a_length_and_an_alphabet() {
        assert!(is_name("git.example_1-x:2"));
        assert!(is_name(&"a".repeat(bounds::NAME_MAX)));
        assert!(!is_name(&"a".repeat(bounds::NAME_MAX + 1)));
        for bad in ["", "a b", "a/b", "a\n", "\u{e9}"] {
            assert!(!is_name(bad), "{bad:?}");
        }
    }
}
