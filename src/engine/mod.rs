//! Who moves the bytes: connections on a tokio runtime, and the home in which
//! they are polled.
//!
//! Called by the binding; knows the protocol, and nothing of JavaScript or of
//! N-API. A connection does not know which home it lives in: it is polled with
//! a waker and an inbox, and hands over what happened. Homes exist on Linux;
//! elsewhere there are inboxes only, for what JavaScript has read itself.

#[cfg(target_os = "linux")]
pub mod alone;
#[cfg(target_os = "linux")]
pub mod connection;
#[cfg(target_os = "linux")]
pub mod driver;
#[cfg(target_os = "linux")]
pub mod home;
pub mod inbox;
#[cfg(target_os = "linux")]
pub mod intake;
#[cfg(target_os = "linux")]
pub mod listener;
#[cfg(target_os = "linux")]
pub mod lobby;
#[cfg(target_os = "linux")]
pub mod outbox;
#[cfg(target_os = "linux")]
pub mod ready;
#[cfg(target_os = "linux")]
pub mod vigil;
#[cfg(target_os = "linux")]
pub mod waiting;
