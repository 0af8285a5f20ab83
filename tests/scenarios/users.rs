//! The programs that people use, unchanged, across rotations.

mod browser;
mod certificate;
mod datagrams;
mod sip;
pub(crate) mod site;
mod ssh;
