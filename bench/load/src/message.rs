//! The message that the modes repeat, and the request that goes before it.

use crate::args::Args;
use crate::frame;
use crate::handshake::{DEFLATE_REQUEST, REQUEST};
use std::io;

/// What a client sends.
pub struct Message {
    pub request: &'static [u8],
    /// One frame.
    pub frame: Vec<u8>,
}

impl Message {
    /// Options: `--size`, `--text` for JSON text, `--deflate` for compressed text.
    pub fn from_args(args: &Args) -> io::Result<Self> {
        let size = args.number("size", 64)?;
        if args.flag("deflate") {
            let payload = frame::deflate(&frame::records(size));
            return Ok(Self {
                request: DEFLATE_REQUEST,
                frame: frame::build(frame::RSV1 | frame::TEXT, &payload, true),
            });
        }
        let text = args.flag("text");
        let opcode = if text { frame::TEXT } else { frame::BINARY };
        Ok(Self {
            request: REQUEST,
            frame: frame::build(opcode, &frame::payload(size, text), true),
        })
    }
}
