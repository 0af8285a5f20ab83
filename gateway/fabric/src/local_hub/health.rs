//! Is a server well? So many probes in a row turn it, and the first decides at once. Pure.

use std::time::Duration;

use crate::bounds::{HEALTH_FALL, HEALTH_INTERVAL, HEALTH_RISE};

/// How the servers of a service are asked whether they are well. No kind runs a command.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Health {
    /// They are not asked, and taken for well.
    #[default]
    Unasked,
    /// A TCP connection can be made.
    Connect(Thresholds),
    /// An HTTP/1.1 GET of `path` is answered with a status of 2xx or 3xx.
    Http {
        /// Absolute, `/…`, without spaces or control characters.
        path: String,
        /// When the judgement turns.
        thresholds: Thresholds,
    },
}

/// When the judgement of a server turns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Thresholds {
    /// Good probes in a row until an ill server is well; at least 1.
    pub rise: u32,
    /// Bad probes in a row until a well server is ill; at least 1.
    pub fall: u32,
    /// Between two probes of one server; each wait is spread by a quarter to both sides.
    pub interval: Duration,
}

impl Default for Thresholds {
    fn default() -> Self {
        Self { rise: HEALTH_RISE, fall: HEALTH_FALL, interval: HEALTH_INTERVAL }
    }
}

impl Thresholds {
    /// The wait until the next probe; `dice` is uniform over all its values.
    pub(super) fn wait(&self, dice: u32) -> Duration {
        self.interval * 3 / 4 + (self.interval / 2).mul_f64(f64::from(dice) / f64::from(u32::MAX))
    }
}

impl Health {
    pub(super) fn thresholds(&self) -> Option<Thresholds> {
        match self {
            Self::Unasked => None,
            Self::Connect(thresholds) | Self::Http { thresholds, .. } => Some(*thresholds),
        }
    }
}

/// What is thought of one server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Judgement {
    /// Not probed yet: gets no streams.
    Unproven,
    /// Well; so many probes in a row were bad.
    Well { bad: u32 },
    /// Ill; so many probes in a row were good.
    Ill { good: u32 },
}

impl Judgement {
    /// Before the first probe.
    pub(super) fn first(health: &Health) -> Self {
        match health {
            Health::Unasked => Self::Well { bad: 0 },
            Health::Connect(_) | Health::Http { .. } => Self::Unproven,
        }
    }

    pub(super) fn is_well(self) -> bool {
        match self {
            Self::Well { .. } => true,
            Self::Unproven | Self::Ill { .. } => false,
        }
    }

    /// After one more probe.
    pub(super) fn handle_probe(self, is_good: bool, thresholds: &Thresholds) -> Self {
        match (self, is_good) {
            (Self::Unproven, true) | (Self::Well { .. }, true) => Self::Well { bad: 0 },
            (Self::Unproven, false) | (Self::Ill { .. }, false) => Self::Ill { good: 0 },
            (Self::Well { bad }, false) if bad + 1 < thresholds.fall => Self::Well { bad: bad + 1 },
            (Self::Well { .. }, false) => Self::Ill { good: 0 },
            (Self::Ill { good }, true) if good + 1 < thresholds.rise => Self::Ill { good: good + 1 },
            (Self::Ill { .. }, true) => Self::Well { bad: 0 },
        }
    }
}

/// Is this the beginning of an HTTP answer with a status of 2xx or 3xx? `None`: more bytes are needed.
pub(super) fn is_good_answer(head: &[u8]) -> Option<bool> {
    const SHAPE: &[u8] = b"HTTP/1.x sss";
    for (byte, shape) in head.iter().zip(SHAPE) {
        let fits = match shape {
            b'x' => matches!(byte, b'0' | b'1'),
            b's' => byte.is_ascii_digit(),
            shape => byte == shape,
        };
        if !fits {
            return Some(false);
        }
    }
    head.get(9).filter(|_| head.len() >= SHAPE.len()).map(|class| matches!(class, b'2' | b'3'))
}

/// Can a path stand in a request line?
pub(super) fn is_path(path: &str) -> bool {
    path.starts_with('/') && path.len() <= 1024 && path.bytes().all(|byte| byte.is_ascii_graphic())
}

#[cfg(test)]
mod tests {
    use super::*;

    const THREE_TWO: Thresholds = Thresholds { rise: 2, fall: 3, interval: Duration::from_secs(4) };

    fn after(from: Judgement, probes: &[bool]) -> Judgement {
        probes.iter().fold(from, |judgement, good| judgement.handle_probe(*good, &THREE_TWO))
    }

    #[test]
    fn the_first_probe_decides_at_once() {
        let first = Judgement::first(&Health::Connect(THREE_TWO));
        assert!(!first.is_well());
        assert!(after(first, &[true]).is_well());
        assert!(!after(first, &[false]).is_well());
        assert!(!after(first, &[false, true]).is_well(), "then the thresholds hold");
        assert!(Judgement::first(&Health::Unasked).is_well());
    }

    #[test]
    fn a_well_server_falls_with_the_third_bad_probe_in_a_row_and_not_before() {
        let well = Judgement::Well { bad: 0 };
        assert!(after(well, &[false, false]).is_well());
        assert!(after(well, &[false, false, true, false, false]).is_well(), "a good one between");
        assert!(!after(well, &[false, false, false]).is_well());
    }

    #[test]
    fn an_ill_server_rises_with_the_second_good_probe_in_a_row_and_not_before() {
        let ill = Judgement::Ill { good: 0 };
        assert!(!after(ill, &[true]).is_well());
        assert!(!after(ill, &[true, false, true]).is_well(), "a bad one between");
        assert!(after(ill, &[true, true]).is_well());
    }

    #[test]
    fn waits_stay_within_a_quarter_of_the_interval() {
        assert_eq!(THREE_TWO.wait(0), Duration::from_secs(3));
        assert_eq!(THREE_TWO.wait(u32::MAX), Duration::from_secs(5));
    }

    #[test]
    fn only_two_and_three_hundred_are_good_answers() {
        for good in ["HTTP/1.1 200 OK", "HTTP/1.0 204", "HTTP/1.1 399 "] {
            assert_eq!(is_good_answer(good.as_bytes()), Some(true), "{good}");
        }
        for bad in
            ["HTTP/1.1 199 ", "HTTP/1.1 400 ", "HTTP/1.1 500", "HTTP/2.0 200", "SSH-2.0-x", "HTTP/1.1 2x0"]
        {
            assert_eq!(is_good_answer(bad.as_bytes()), Some(false), "{bad}");
        }
        for short in ["", "HTTP", "HTTP/1.1 20"] {
            assert_eq!(is_good_answer(short.as_bytes()), None, "{short}");
        }
    }

    #[test]
    fn a_path_cannot_break_out_of_its_line() {
        assert!(is_path("/health?x=1"));
        for bad in ["", "health", "/a b", "/a\r\nHost: x", "/\u{e9}"] {
            assert!(!is_path(bad), "{bad:?}");
        }
    }
}
