//! The room as its callers meet it: acts on records, and the API over a real socket with a real store.

#![allow(clippy::unwrap_used, reason = "tests")]

mod access;
mod audit;
mod auth;
mod fixture;
mod hubs;
mod limits;
mod openapi;
mod reconciled;
mod rotation;
mod routes;
mod scheduling;
mod services;
mod why;
