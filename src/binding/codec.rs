//! Functions without state: masking for `lib/buffer-util.js`, the answer to a key
//! for both sides of the handshake, and the table of faults for `lib/fault.js`.

use napi_derive::napi;

use super::memory::Memory;
use crate::engine::inbox::describe;
use crate::protocol::error::ProtocolError;
use crate::protocol::handshake;
use crate::protocol::mask::{apply_mask, copy_masked};

/// Writes the first `length` bytes of `source`, masked with the first four
/// bytes of `key`, to `output` at `offset`. `source` and the target must not
/// overlap. Does nothing when the lengths do not fit.
#[napi]
pub fn mask(
    source: Memory<'_, u8>,
    key: Memory<'_, u8>,
    mut output: Memory<'_, u8>,
    offset: u32,
    length: u32,
) {
    let (offset, length) = (offset as usize, length as usize);
    let target = output.get_mut(offset..offset + length);
    if let (Some(target), Some(source), Some(key)) =
        (target, source.get(..length), key.first_chunk())
    {
        copy_masked(target, source, *key, 0);
    }
}

/// Unmasks `buffer` in place with the first four bytes of `key`.
#[napi]
pub fn unmask(mut buffer: Memory<'_, u8>, key: Memory<'_, u8>) {
    if let Some(key) = key.first_chunk() {
        apply_mask(&mut buffer, *key, 0);
    }
}

/// The `Sec-WebSocket-Accept` for a `Sec-WebSocket-Key` (RFC 6455, section
/// 4.2.2).
#[napi]
pub fn accept_key(key: String) -> String {
    handshake::accept_key(&key)
}

/// What an error row says of a fault.
#[napi(object)]
pub struct Fault {
    pub detail: u32,
    pub text: String,
}

/// Describes one of the faults that JavaScript finds itself, by its name in
/// [`ProtocolError`].
#[napi]
pub fn fault(name: String) -> Option<Fault> {
    let error = match name.as_str() {
        "InvalidUtf8" => ProtocolError::InvalidUtf8,
        "TooManyBufferedChunks" => ProtocolError::TooManyBufferedChunks,
        "UnsupportedMessageLength" => ProtocolError::UnsupportedMessageLength,
        _ => return None,
    };
    let (detail, text) = describe(&error);
    Some(Fault { detail, text })
}
