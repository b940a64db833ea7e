//! Who moves the bytes: connections on a tokio runtime, and the home in which
//! they are polled.
//!
//! Called by the binding; knows the protocol, and nothing of JavaScript or of
//! N-API. A connection does not know which home it lives in: it is polled with
//! a waker and an inbox, and hands over what happened.

pub mod connection;
pub mod home;
pub mod inbox;
pub mod listener;
pub mod ready;
pub mod vigil;
