//! An edge on loopback: real sockets, real TLS, a real store and a real fabric behind it.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod access_log;
mod admission;
mod alternative;
mod backend;
mod balancers;
mod clients;
mod datagrams;
mod floods;
mod grpc;
mod h2_conformance;
mod h2_service;
mod h3;
mod h3_sockets;
mod hooks;
mod keys;
mod limits;
mod lives;
mod matrix;
mod peers;
mod pressed;
mod programs;
mod raw;
mod requests;
mod responses;
mod scene;
mod silence;
mod slow;
mod smuggling;
mod sockets;
mod spending;
mod stage;
mod streams;
mod verdicts;
mod way;
