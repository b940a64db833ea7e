//! oxws: WebSockets for Node.js, behind the API of the npm package `ws`.
//!
//! Dependencies point one way: `binding → engine → protocol`; each layer is a
//! Cargo feature, so that the compiler checks the direction (see
//! ARCHITECTURE.md).

#![deny(unsafe_code)]

#[cfg(feature = "binding")]
mod binding;
#[cfg(feature = "engine")]
pub mod engine;
pub mod protocol;
