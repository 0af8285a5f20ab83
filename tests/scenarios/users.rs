//! The programs that people use, unchanged, across rotations.

mod browser;
mod datagrams;
mod sip;
mod ssh;
