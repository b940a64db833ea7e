//! What JavaScript sees of the engine and of the protocol.
//!
//! Called by what `lib/binding.js` loads the addon for: the native driver
//! (`lib/native-*.js`, `lib/socket-writer.js`, `lib/outbox.js`),
//! `lib/chunk-decoder.js`, `lib/compressor.js`, `lib/buffer-util.js`,
//! `lib/fault.js` and the handshakes. All state belongs to one environment (main
//! thread or worker); what they share is what `uv.rs` has looked up and the count
//! of `room.rs`.
//!
//! Memory crosses as typed arrays that are borrowed for the length of one
//! call. JavaScript cannot run during that call (not even when `room.rs`
//! allocates and garbage is collected), so nothing can detach or write them
//! meanwhile; that no other thread writes them is what `lib/inbox.js` and
//! `lib/outbox.js` must see to: rows and slabs are made there, over plain
//! `ArrayBuffer`s, never over a `SharedArrayBuffer`.

// Only the macros' registrations call these, and tests have none. Without an
// engine some of them have no callers.
#![cfg_attr(any(test, not(target_os = "linux")), allow(dead_code))]

#[cfg(target_os = "linux")]
mod caller;
mod codec;
mod compressor;
mod decoder;
#[cfg(target_os = "linux")]
mod engine;
#[cfg(target_os = "linux")]
mod listener;
mod memory;
#[cfg(target_os = "linux")]
mod nest;
mod room;
#[cfg(target_os = "linux")]
mod uv;
