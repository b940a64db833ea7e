//! Everything that a peer can do wrong, with what `ws` says about it.
//!
//! Made by the receiver and the inflater; read by the inbox, which hands it over
//! to JavaScript, where the error is made and the connection closed with its
//! status. One table, so that text, code and status of a fault stay together.

use std::borrow::Cow;
use std::fmt;

/// Why compressed data could not be decompressed, in zlib's words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InflateError(Box<str>);

impl InflateError {
    /// An error with zlib's message.
    pub fn new(message: &str) -> Self {
        Self(message.into())
    }

    /// zlib's message.
    pub fn message(&self) -> &str {
        &self.0
    }
}

/// A violation of the protocol, or of one of our limits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ProtocolError {
    /// RSV1 is set where no compressed message starts.
    UnexpectedRsv1,
    /// RSV2 or RSV3 is set.
    UnexpectedRsv23,
    /// An opcode that is reserved, or that can't come at this point.
    InvalidOpcode(u8),
    /// A fragmented control frame.
    ExpectedFin,
    /// A client's frame without a masking key.
    ExpectedMask,
    /// A server's frame with a masking key.
    UnexpectedMask,
    /// A control frame whose (7-bit) length is not allowed.
    InvalidControlPayloadLength(u8),
    /// A frame of more than 2^53 - 1 bytes.
    UnsupportedDataPayloadLength,
    /// A message longer than the limit.
    UnsupportedMessageLength,
    /// A message of more frames than the limit.
    TooManyFragments,
    /// A frame that came in more chunks than the limit.
    TooManyBufferedChunks,
    /// Text or a close reason that is not UTF-8.
    InvalidUtf8,
    /// A close code that may not be sent.
    InvalidCloseCode(u16),
    /// Compressed data that is corrupt.
    Inflate(InflateError),
}

/// What one variant looks like from the outside.
struct Entry {
    message: Cow<'static, str>,
    /// Whether the message is about the form of a frame and says so up front.
    prefixed: bool,
    code: &'static str,
    status: u16,
    range_error: bool,
}

/// An entry for a malformed frame: prefixed, a `RangeError`, status 1002.
fn malformed(code: &'static str, message: impl Into<Cow<'static, str>>) -> Entry {
    Entry {
        message: message.into(),
        prefixed: true,
        code,
        status: 1002,
        range_error: true,
    }
}

/// An entry for a limit of ours: bare text, a `RangeError`.
fn limit(code: &'static str, status: u16, message: &'static str) -> Entry {
    Entry {
        message: message.into(),
        prefixed: false,
        code,
        status,
        range_error: true,
    }
}

impl ProtocolError {
    fn entry(&self) -> Entry {
        match self {
            Self::UnexpectedRsv1 => malformed("WS_ERR_UNEXPECTED_RSV_1", "RSV1 must be clear"),
            Self::UnexpectedRsv23 => {
                malformed("WS_ERR_UNEXPECTED_RSV_2_3", "RSV2 and RSV3 must be clear")
            }
            Self::InvalidOpcode(opcode) => {
                malformed("WS_ERR_INVALID_OPCODE", format!("invalid opcode {opcode}"))
            }
            Self::ExpectedFin => malformed("WS_ERR_EXPECTED_FIN", "FIN must be set"),
            Self::ExpectedMask => malformed("WS_ERR_EXPECTED_MASK", "MASK must be set"),
            Self::UnexpectedMask => malformed("WS_ERR_UNEXPECTED_MASK", "MASK must be clear"),
            Self::InvalidControlPayloadLength(len) => malformed(
                "WS_ERR_INVALID_CONTROL_PAYLOAD_LENGTH",
                format!("invalid payload length {len}"),
            ),
            Self::InvalidCloseCode(code) => malformed(
                "WS_ERR_INVALID_CLOSE_CODE",
                format!("invalid status code {code}"),
            ),
            Self::InvalidUtf8 => Entry {
                status: 1007,
                range_error: false,
                ..malformed("WS_ERR_INVALID_UTF8", "invalid UTF-8 sequence")
            },
            Self::UnsupportedDataPayloadLength => limit(
                "WS_ERR_UNSUPPORTED_DATA_PAYLOAD_LENGTH",
                1009,
                "Unsupported WebSocket frame: payload length > 2^53 - 1",
            ),
            Self::UnsupportedMessageLength => limit(
                "WS_ERR_UNSUPPORTED_MESSAGE_LENGTH",
                1009,
                "Max payload size exceeded",
            ),
            Self::TooManyFragments => limit(
                "WS_ERR_TOO_MANY_BUFFERED_PARTS",
                1008,
                "Too many message fragments",
            ),
            Self::TooManyBufferedChunks => limit(
                "WS_ERR_TOO_MANY_BUFFERED_PARTS",
                1008,
                "Too many buffered chunks",
            ),
            Self::Inflate(error) => Entry {
                message: error.message().to_owned().into(),
                prefixed: false,
                code: "Z_DATA_ERROR",
                status: 1007,
                range_error: false,
            },
        }
    }

    /// The error's message, with the prefix where `ws` has it.
    pub fn message(&self) -> String {
        let entry = self.entry();

        if entry.prefixed {
            format!("Invalid WebSocket frame: {}", entry.message)
        } else {
            entry.message.into_owned()
        }
    }

    /// The `code` property of the JavaScript error.
    pub fn code(&self) -> &'static str {
        self.entry().code
    }

    /// The status that the connection is closed with (RFC 6455, section 7.4.1).
    pub fn close_status(&self) -> u16 {
        self.entry().status
    }

    /// Whether the JavaScript error is a `RangeError`; otherwise it is an
    /// `Error`.
    pub fn is_range_error(&self) -> bool {
        self.entry().range_error
    }
}

impl fmt::Display for ProtocolError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message())
    }
}

impl std::error::Error for ProtocolError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_malformed_frame_is_a_prefixed_range_error_with_status_1002() {
        let error = ProtocolError::InvalidOpcode(11);
        assert_eq!(
            error.message(),
            "Invalid WebSocket frame: invalid opcode 11"
        );
        assert_eq!(error.to_string(), error.message());
        assert_eq!(error.code(), "WS_ERR_INVALID_OPCODE");
        assert_eq!(error.close_status(), 1002);
        assert!(error.is_range_error());
    }

    #[test]
    fn invalid_utf8_is_a_plain_error_with_status_1007() {
        let error = ProtocolError::InvalidUtf8;
        assert_eq!(
            error.message(),
            "Invalid WebSocket frame: invalid UTF-8 sequence"
        );
        assert_eq!(error.close_status(), 1007);
        assert!(!error.is_range_error());
    }

    #[test]
    fn a_limit_has_no_prefix() {
        let error = ProtocolError::UnsupportedMessageLength;
        assert_eq!(error.message(), "Max payload size exceeded");
        assert_eq!(error.close_status(), 1009);
        assert!(error.is_range_error());
    }

    #[test]
    fn corrupt_compressed_data_looks_like_an_error_of_zlib() {
        let error = ProtocolError::Inflate(InflateError::new("invalid block type"));
        assert_eq!(error.message(), "invalid block type");
        assert_eq!(error.code(), "Z_DATA_ERROR");
        assert_eq!(error.close_status(), 1007);
        assert!(!error.is_range_error());
    }
}
