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

#[cfg(test)]
mod tests {
    use super::*;

    /// The key of the example in section 1.3.
    const KEY: &str = "dGhlIHNhbXBsZSBub25jZQ==";
    const ACCEPT: &str = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=";

    const DEFLATE: DeflateOptions = DeflateOptions {
        server_no_context_takeover: None,
        client_no_context_takeover: None,
        server_max_window_bits: negotiation::WindowOption::Unset,
        client_max_window_bits: negotiation::WindowOption::Unset,
    };

    /// A valid request with one of its lines replaced, or one added.
    fn request(change: &str) -> RequestHead {
        let name = change.split(':').next().unwrap();
        let mut lines = vec![
            "GET /chat?room=1 HTTP/1.1".to_owned(),
            "Host: localhost".to_owned(),
            "Connection: Upgrade".to_owned(),
            "Upgrade: WebSocket".to_owned(),
            format!("Sec-WebSocket-Key: {KEY}"),
            "Sec-WebSocket-Version: 13".to_owned(),
        ];

        if change.ends_with("HTTP/1.1") {
            lines[0] = change.to_owned();
        } else {
            lines.retain(|line| !line.starts_with(name) || name.is_empty());
            if change.contains(": ") {
                lines.push(change.to_owned());
            }
        }

        parse_request(&format_head(&lines)).unwrap().unwrap().0
    }

    fn validate(change: &str) -> Result<Upgrade, Rejection> {
        let options = UpgradeOptions {
            path: Some("/chat"),
            deflate: Some(&DEFLATE),
        };
        validate_request(&request(change), options)
    }

    #[test]
    fn answers_the_key_of_the_rfc() {
        assert_eq!(accept_key(KEY), ACCEPT);
    }

    #[test]
    fn knows_a_key_when_it_sees_one() {
        assert!(is_valid_key(KEY));
        assert!(is_valid_key("++++++++++////////////=="));

        for key in [
            "",
            "==",
            "dGhlIHNhbXBsZSBub25jZQ",
            "dGhlIHNhbXBsZSBub25jZQ=",
            "dGhlIHNhbXBsZSBub25jZQA==",
            "dGhlIHNhbXBsZSBub25jZ-==",
            "dGhlIHNhbXBsZSBub25jZ\u{e9}==",
            " dGhlIHNhbXBsZSBub25jZQ==",
        ] {
            assert!(!is_valid_key(key), "{key}");
        }
    }

    #[test]
    fn accepts_a_valid_request() {
        let upgrade = validate("").unwrap();
        assert_eq!(upgrade.key, KEY);
        assert_eq!(upgrade.version, 13);
        assert!(upgrade.protocols.is_empty());
        assert_eq!(upgrade.deflate, None);

        assert_eq!(validate("Sec-WebSocket-Version: 8").unwrap().version, 8);
        assert_eq!(
            validate("Sec-WebSocket-Protocol: foo, bar")
                .unwrap()
                .protocols,
            ["foo", "bar"]
        );
        assert_eq!(
            validate("Sec-WebSocket-Extensions: foo, permessage-deflate; client_max_window_bits")
                .unwrap()
                .deflate,
            Some(DeflateParams::default())
        );
        assert_eq!(
            validate("Sec-WebSocket-Extensions: foo").unwrap().deflate,
            None
        );
    }

    #[test]
    fn rejects_an_invalid_request_and_says_why() {
        let key = "Missing or invalid Sec-WebSocket-Key header";
        let version = "Missing or invalid Sec-WebSocket-Version header";
        let extensions = "Invalid or unacceptable Sec-WebSocket-Extensions header";
        let cases = [
            ("POST /chat HTTP/1.1", 405, "Invalid HTTP method"),
            ("Upgrade", 400, "Invalid Upgrade header"),
            ("Upgrade: h2c", 400, "Invalid Upgrade header"),
            ("Sec-WebSocket-Key", 400, key),
            ("Sec-WebSocket-Key: x", 400, key),
            ("Sec-WebSocket-Version", 400, version),
            ("Sec-WebSocket-Version: 12", 400, version),
            (
                "Sec-WebSocket-Protocol: foo;",
                400,
                "Invalid Sec-WebSocket-Protocol header",
            ),
            ("Sec-WebSocket-Extensions: foo;", 400, extensions),
            (
                "Sec-WebSocket-Extensions: permessage-deflate; foo",
                400,
                extensions,
            ),
        ];

        for (change, status, message) in cases {
            let rejection = validate(change).unwrap_err();
            assert_eq!(rejection.status, status, "{change}");
            assert_eq!(rejection.message, Some(message), "{change}");
            assert!(rejection.is_client_error());
        }
    }

    #[test]
    fn a_wrong_path_is_a_bad_request_but_no_error() {
        let rejection = validate("GET /chat/ HTTP/1.1").unwrap_err();
        assert_eq!((rejection.status, rejection.message), (400, None));
        assert!(!rejection.is_client_error());
        assert!(validate("GET /chat HTTP/1.1").is_ok());

        let any = UpgradeOptions::default();
        assert!(validate_request(&request("GET /x HTTP/1.1"), any).is_ok());
    }

    #[test]
    fn extensions_are_not_looked_at_without_compression() {
        let head = request("Sec-WebSocket-Extensions: foo;");
        assert!(validate_request(&head, UpgradeOptions::default()).is_ok());
    }

    #[test]
    fn formats_the_response_to_a_rejected_request() {
        let rejection = validate("Sec-WebSocket-Version: 12").unwrap_err();
        assert_eq!(
            String::from_utf8(rejection.format()).unwrap(),
            "HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\
             Content-Type: text/html\r\nContent-Length: 47\r\n\
             Sec-WebSocket-Version: 13, 8\r\n\r\n\
             Missing or invalid Sec-WebSocket-Version header"
        );
        assert_eq!(
            format_abort(503, None, &[("Content-Type", "a/b"), ("X", "y")]),
            b"HTTP/1.1 503 Service Unavailable\r\nConnection: close\r\n\
              Content-Type: a/b\r\nContent-Length: 19\r\nX: y\r\n\r\nService Unavailable"
        );
    }

    #[test]
    fn formats_the_response_that_completes_the_handshake() {
        let params =
            validate("Sec-WebSocket-Extensions: permessage-deflate;server_max_window_bits=9")
                .unwrap()
                .deflate;
        let lines = response_lines(KEY, Some("chat"), params.as_ref());
        assert_eq!(
            String::from_utf8(format_head(&lines)).unwrap(),
            format!(
                "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\
                 Connection: Upgrade\r\nSec-WebSocket-Accept: {ACCEPT}\r\n\
                 Sec-WebSocket-Protocol: chat\r\n\
                 Sec-WebSocket-Extensions: permessage-deflate; server_max_window_bits=9\r\n\r\n"
            )
        );
        assert_eq!(response_lines(KEY, Some(""), None).len(), 4);
    }

    /// A response with these lines besides the necessary ones.
    fn response(extra: &[&str]) -> ResponseHead {
        let mut lines = response_lines(KEY, None, None);
        lines.extend(extra.iter().map(|line| line.to_string()));
        parse_response(&format_head(&lines)).unwrap().unwrap().0
    }

    fn check(extra: &[&str], protocols: &[&str], deflate: bool) -> Result<Accepted, String> {
        let offer = ClientOffer {
            key: KEY,
            protocols,
            deflate: deflate.then_some(&DEFLATE),
        };
        validate_response(&response(extra), offer)
    }

    #[test]
    fn a_client_accepts_a_valid_response() {
        assert_eq!(check(&[], &[], true), Ok(Accepted::default()));

        let extra = [
            "Sec-WebSocket-Protocol: bar",
            "Sec-WebSocket-Extensions: permessage-deflate",
        ];
        let accepted = check(&extra, &["foo", "bar"], true).unwrap();
        assert_eq!(accepted.protocol.as_deref(), Some("bar"));
        assert_eq!(accepted.deflate, Some(DeflateParams::default()));
    }

    #[test]
    fn a_client_refuses_what_it_did_not_ask_for() {
        let protocol = "Sec-WebSocket-Protocol: bar";
        let deflate = "Sec-WebSocket-Extensions: permessage-deflate";
        let invalid = "Invalid Sec-WebSocket-Extensions header";
        let other = "Server indicated an extension that was not requested";
        let cases: [(&[&str], &[&str], bool, &str); 9] = [
            (
                &[protocol],
                &[],
                true,
                "Server sent a subprotocol but none was requested",
            ),
            (
                &[protocol],
                &["foo"],
                true,
                "Server sent an invalid subprotocol",
            ),
            (&[], &["foo"], true, "Server sent no subprotocol"),
            (
                &[deflate],
                &[],
                false,
                "Server sent a Sec-WebSocket-Extensions header but no extension was requested",
            ),
            (&["Sec-WebSocket-Extensions: foo;"], &[], true, invalid),
            (
                &["Sec-WebSocket-Extensions: permessage-deflate; x"],
                &[],
                true,
                invalid,
            ),
            (&["Sec-WebSocket-Extensions: foo"], &[], true, other),
            (
                &[deflate, "Sec-WebSocket-Extensions: foo"],
                &[],
                true,
                other,
            ),
            (&["Upgrade: websocket"], &[], true, "Invalid Upgrade header"),
        ];

        for (extra, protocols, deflate, message) in cases {
            assert_eq!(check(extra, protocols, deflate), Err(message.to_owned()));
        }
    }

    #[test]
    fn a_client_refuses_a_wrong_key_and_another_status() {
        let offer = ClientOffer {
            key: "AAAAAAAAAAAAAAAAAAAAAA==",
            protocols: &[],
            deflate: None,
        };
        assert_eq!(
            validate_response(&response(&[]), offer),
            Err("Invalid Sec-WebSocket-Accept header".to_owned())
        );

        let mut head = response(&[]);
        head.status = 404;
        assert_eq!(
            validate_response(&head, offer),
            Err("Unexpected server response: 404".to_owned())
        );
    }
}
