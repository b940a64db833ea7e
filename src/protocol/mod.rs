//! The WebSocket protocol without I/O: bytes and time come in as arguments,
//! events and bytes go out.
//!
//! Called by the engine and by the binding. Must not know of sockets, tokio,
//! Node-API, clocks, threads or random numbers: the caller brings whatever is
//! needed, so that everything here can be tested with plain byte strings.
//!
//! The behaviour (order of checks, error texts, codes) is that of the npm
//! package `ws`; RFC 6455 and RFC 7692 are cited by section where a constant or
//! a rule of theirs is used.

#![forbid(unsafe_code)]

mod close;
pub mod context;
pub mod deflate;
pub mod error;
mod event;
pub mod frame;
pub mod handshake;
mod header;
mod incoming;
pub mod inflate;
pub mod mask;
mod message;
mod plain;
pub mod receiver;
mod token;
pub mod upgrade;
pub mod utf8;
