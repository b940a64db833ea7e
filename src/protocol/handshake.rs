//! The opening handshake (RFC 6455, section 4): what a valid request and a
//! valid response are, and the responses that a server gives.
//!
//! Called by the listener and by whoever connects. Reads heads, decides, and
//! formats; which subprotocol is chosen and whom to let in is the caller's.

use base64::prelude::{Engine, BASE64_STANDARD};
use sha1::{Digest, Sha1};

use super::negotiation::{self, DeflateOptions, DeflateParams, EXTENSION_NAME};
use super::number::from_js;
use super::status::reason_phrase;
use super::{extension, subprotocol};

pub use super::head::{
    parse_request, parse_response, HeadError, Headers, RequestHead, ResponseHead, MAX_HEAD,
};

/// What the key is joined with before it is hashed (section 1.3).
const GUID: &str = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";

/// The `Sec-WebSocket-Accept` that answers `key`.
pub fn accept_key(key: &str) -> String {
    let digest = Sha1::new().chain_update(key).chain_update(GUID).finalize();
    BASE64_STANDARD.encode(digest)
}

/// Whether `key` looks like 16 bytes in base64.
pub fn is_valid_key(key: &str) -> bool {
    let is_base64 = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'+' || byte == b'/';

    match key.strip_suffix("==") {
        Some(digits) => digits.len() == 22 && digits.bytes().all(is_base64),
        None => false,
    }
}

/// A request that is not upgraded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rejection {
    /// The status of the response.
    pub status: u16,
    /// The body, and the message of the error; `None` for the status's phrase.
    pub message: Option<&'static str>,
    /// Header fields of the response besides the usual ones.
    pub headers: &'static [(&'static str, &'static str)],
}

impl Rejection {
    const fn new(status: u16, message: &'static str) -> Self {
        Self {
            status,
            message: Some(message),
            headers: &[],
        }
    }

    /// Whether the client is at fault, so that a `wsClientError` listener is to
    /// be asked. A wrong path is not an error.
    pub fn is_client_error(&self) -> bool {
        self.message.is_some()
    }

    /// The response.
    pub fn format(&self) -> Vec<u8> {
        format_abort(self.status, self.message, self.headers)
    }
}

/// What a server accepts.
#[derive(Clone, Copy, Debug, Default)]
pub struct UpgradeOptions<'a> {
    /// The only path, unless it is `None` or empty.
    pub path: Option<&'a str>,
    /// Compression, unless it is `None`.
    pub deflate: Option<&'a DeflateOptions>,
}

/// What a valid request asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Upgrade {
    /// The client's key.
    pub key: String,
    /// The protocol's version, 13 or 8.
    pub version: u8,
    /// The subprotocols that the client speaks.
    pub protocols: Vec<String>,
    /// The parameters agreed on, when compression was asked for and accepted.
    pub deflate: Option<DeflateParams>,
}

/// Checks a request (section 4.2.1).
pub fn validate_request(
    head: &RequestHead,
    options: UpgradeOptions<'_>,
) -> Result<Upgrade, Rejection> {
    let get = |name| head.headers.get(name);

    if head.method != "GET" {
        return Err(Rejection::new(405, "Invalid HTTP method"));
    }

    if !get("upgrade").is_some_and(|value| is_websocket(&value)) {
        return Err(Rejection::new(400, "Invalid Upgrade header"));
    }

    let Some(key) = get("sec-websocket-key").filter(|key| is_valid_key(key)) else {
        let message = "Missing or invalid Sec-WebSocket-Key header";
        return Err(Rejection::new(400, message));
    };

    let version = get("sec-websocket-version").map_or(f64::NAN, |value| from_js(&value));

    if version != 13.0 && version != 8.0 {
        let message = "Missing or invalid Sec-WebSocket-Version header";
        return Err(Rejection {
            headers: &[("Sec-WebSocket-Version", "13, 8")],
            ..Rejection::new(400, message)
        });
    }

    if !matches_path(&head.target, options.path) {
        return Err(Rejection {
            status: 400,
            message: None,
            headers: &[],
        });
    }

    let protocols = match get("sec-websocket-protocol") {
        Some(header) => subprotocol::parse(&header)
            .map_err(|_| Rejection::new(400, "Invalid Sec-WebSocket-Protocol header"))?,
        None => Vec::new(),
    };

    let deflate = match (options.deflate, get("sec-websocket-extensions")) {
        (Some(options), Some(header)) => accept_extensions(options, &header).ok_or_else(|| {
            let message = "Invalid or unacceptable Sec-WebSocket-Extensions header";
            Rejection::new(400, message)
        })?,
        _ => None,
    };

    Ok(Upgrade {
        key,
        version: version as u8,
        protocols,
        deflate,
    })
}

/// Whether an `Upgrade` header's value is the one that is needed.
fn is_websocket(value: &str) -> bool {
    value.eq_ignore_ascii_case("websocket")
}

/// Whether the target's path, without the query, is the given one.
fn matches_path(target: &str, path: Option<&str>) -> bool {
    match path {
        None | Some("") => true,
        Some(path) => target.split('?').next() == Some(path),
    }
}

/// Accepts an offer of permessage-deflate, if there is one. The outer `None`
/// stands for a header that is malformed or asks for the impossible.
fn accept_extensions(options: &DeflateOptions, header: &str) -> Option<Option<DeflateParams>> {
    let extensions = extension::parse(header).ok()?;

    match extensions.get(EXTENSION_NAME) {
        Some(offers) => negotiation::accept_as_server(options, offers)
            .ok()
            .map(Some),
        None => Some(None),
    }
}

/// The lines of the response that completes the handshake (section 4.2.2),
/// without line ends.
pub fn response_lines(
    key: &str,
    protocol: Option<&str>,
    deflate: Option<&DeflateParams>,
) -> Vec<String> {
    let mut lines = vec![
        "HTTP/1.1 101 Switching Protocols".to_owned(),
        "Upgrade: websocket".to_owned(),
        "Connection: Upgrade".to_owned(),
        format!("Sec-WebSocket-Accept: {}", accept_key(key)),
    ];

    if let Some(protocol) = protocol.filter(|protocol| !protocol.is_empty()) {
        lines.push(format!("Sec-WebSocket-Protocol: {protocol}"));
    }
    if let Some(params) = deflate {
        lines.push(format!("Sec-WebSocket-Extensions: {params}"));
    }

    lines
}

/// Makes a head of its lines.
pub fn format_head<S: AsRef<str>>(lines: &[S]) -> Vec<u8> {
    let mut head = Vec::new();

    for line in lines {
        head.extend_from_slice(line.as_ref().as_bytes());
        head.extend_from_slice(b"\r\n");
    }

    head.extend_from_slice(b"\r\n");
    head
}

/// The response that refuses an upgrade. Fields in `headers` replace the usual
/// ones of the same name.
pub fn format_abort(status: u16, message: Option<&str>, headers: &[(&str, &str)]) -> Vec<u8> {
    let phrase = reason_phrase(status);
    let body = message.filter(|message| !message.is_empty());
    let body = body.unwrap_or(phrase);
    let length = body.len().to_string();

    let mut fields = vec![
        ("Connection", "close"),
        ("Content-Type", "text/html"),
        ("Content-Length", &length),
    ];

    for (name, value) in headers {
        match fields.iter_mut().find(|field| field.0 == *name) {
            Some(field) => field.1 = value,
            None => fields.push((name, value)),
        }
    }

    let mut lines = vec![format!("HTTP/1.1 {status} {phrase}")];
    lines.extend(
        fields
            .iter()
            .map(|(name, value)| format!("{name}: {value}")),
    );

    let mut response = format_head(&lines);
    response.extend_from_slice(body.as_bytes());
    response
}

/// What a client asked for.
#[derive(Clone, Copy, Debug)]
pub struct ClientOffer<'a> {
    /// The key that was sent.
    pub key: &'a str,
    /// The subprotocols that were sent.
    pub protocols: &'a [&'a str],
    /// Compression, unless it was not offered.
    pub deflate: Option<&'a DeflateOptions>,
}

/// What the server agreed to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Accepted {
    /// The subprotocol.
    pub protocol: Option<String>,
    /// The parameters of the compression.
    pub deflate: Option<DeflateParams>,
}

/// Checks a response (section 4.1, from "Once the client's opening handshake
/// has been sent" on). The error is the message for the user.
pub fn validate_response(head: &ResponseHead, offer: ClientOffer<'_>) -> Result<Accepted, String> {
    let get = |name| head.headers.get(name);

    if head.status != 101 {
        return Err(format!("Unexpected server response: {}", head.status));
    }
    if !get("upgrade").is_some_and(|value| is_websocket(&value)) {
        return Err("Invalid Upgrade header".into());
    }
    if get("sec-websocket-accept") != Some(accept_key(offer.key)) {
        return Err("Invalid Sec-WebSocket-Accept header".into());
    }

    let protocol = get("sec-websocket-protocol");

    match &protocol {
        Some(_) if offer.protocols.is_empty() => {
            return Err("Server sent a subprotocol but none was requested".into());
        }
        Some(protocol) if !offer.protocols.contains(&protocol.as_str()) => {
            return Err("Server sent an invalid subprotocol".into());
        }
        None if !offer.protocols.is_empty() => {
            return Err("Server sent no subprotocol".into());
        }
        _ => (),
    }

    let deflate = match get("sec-websocket-extensions") {
        Some(header) => Some(check_extensions(&header, offer.deflate)?),
        None => None,
    };

    Ok(Accepted { protocol, deflate })
}

/// Checks the extensions that a server says it uses.
fn check_extensions(
    header: &str,
    options: Option<&DeflateOptions>,
) -> Result<DeflateParams, &'static str> {
    const INVALID: &str = "Invalid Sec-WebSocket-Extensions header";

    let Some(options) = options else {
        return Err("Server sent a Sec-WebSocket-Extensions header but no extension was requested");
    };

    let extensions = extension::parse(header).map_err(|_| INVALID)?;

    match extensions.get(EXTENSION_NAME) {
        Some(response) if extensions.iter().len() == 1 => {
            negotiation::accept_as_client(options, response).map_err(|_| INVALID)
        }
        _ => Err("Server indicated an extension that was not requested"),
    }
}
