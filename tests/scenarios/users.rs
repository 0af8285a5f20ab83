//! The programs that people use, unchanged, across rotations.

pub(crate) mod browser;
mod certificate;
mod datagrams;
mod sip;
mod ssh;
