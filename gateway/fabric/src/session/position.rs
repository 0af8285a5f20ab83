//! How far a direction of a session has come. Pure.

use std::fmt;

const END: u64 = 1 << 63;

/// So many bytes from the beginning of the session, and perhaps the end behind them. Later is greater.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Position {
    bytes: u64,
    is_end: bool,
}

impl Position {
    /// As it travels: the bytes, and the highest bit for the end. Every value is a position.
    pub fn from_wire(value: u64) -> Self {
        Self { bytes: value & !END, is_end: value & END != 0 }
    }

    /// As it travels.
    pub fn to_wire(self) -> u64 {
        self.bytes | if self.is_end { END } else { 0 }
    }

    /// Bytes before it.
    pub fn bytes(self) -> u64 {
        self.bytes
    }

    /// Is it behind the end?
    pub fn is_end(self) -> bool {
        self.is_end
    }

    /// So many bytes later. Nobody lives to see 2^63 of them.
    #[must_use]
    pub fn after(self, count: usize) -> Self {
        Self { bytes: self.bytes.saturating_add(count as u64).min(END - 1), ..self }
    }

    /// So much more as `more` is, from here.
    #[must_use]
    pub fn and_then(self, more: Self) -> Self {
        Self { bytes: self.bytes.saturating_add(more.bytes).min(END - 1), is_end: self.is_end || more.is_end }
    }

    /// Behind the end.
    #[must_use]
    pub fn ended(self) -> Self {
        Self { is_end: true, ..self }
    }
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", self.bytes, if self.is_end { " and the end" } else { "" })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_position_survives_the_wire_and_the_end_is_later_than_its_last_byte() {
        for value in [0, 1, END - 1, END, END | 7, u64::MAX] {
            assert_eq!(Position::from_wire(value).to_wire(), value);
        }
        let seven = Position::default().after(7);
        assert!(seven < seven.ended() && seven.ended() < seven.after(1));
        assert_eq!((seven.bytes(), seven.is_end(), seven.ended().is_end()), (7, false, true));
    }
}
