//! Requests for an upgrade that leave no question open.
//!
//! Called with the first bytes of a connection that waits to be let in. A request is
//! plain when Node's HTTP parser is certain to accept it and ws is certain to
//! take it for a valid upgrade, so that neither needs to be asked. Everything
//! else, right or wrong, is for them to judge: what is plain is decided by what
//! clients send, not by what the RFCs allow. Allocates nothing; must not know
//! which paths, origins, subprotocols or extensions a server wants.

use super::handshake::is_valid_key;
use super::token::is_token_char;

/// The longest plain head: half of what Node accepts by default.
pub const MAX_PLAIN_HEAD: usize = 8 * 1024;
/// The most header fields of a plain head.
const MAX_FIELDS: usize = 64;

/// What the first bytes of a connection are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Classified<'a> {
    /// A request for an upgrade to WebSocket, whole.
    Plain {
        /// The head's length, with the empty line at its end.
        head_len: usize,
        /// The client's key.
        key: &'a str,
    },
    /// Anything else, also the beginning of a plain request.
    Other,
}

/// Says what `bytes`, the first of a connection, are.
pub fn classify(bytes: &[u8]) -> Classified<'_> {
    match plain_head(bytes) {
        Some((head_len, key)) => Classified::Plain { head_len, key },
        None => Classified::Other,
    }
}

/// The length of a plain head, and its key.
fn plain_head(bytes: &[u8]) -> Option<(usize, &str)> {
    let bytes = bytes.get(..MAX_PLAIN_HEAD).unwrap_or(bytes);
    let mut rest = bytes;
    let mut fields = Fields::default();

    if !is_request_line(line(&mut rest)?) {
        return None;
    }
    for _ in 0..=MAX_FIELDS {
        let line = line(&mut rest)?;
        if line.is_empty() {
            let key = std::str::from_utf8(fields.key).ok()?;
            return fields
                .are_complete()
                .then_some((bytes.len() - rest.len(), key));
        }
        fields.add(line)?;
    }
    None
}

/// Takes the next line; `None` if it is not all there.
fn line<'a>(rest: &mut &'a [u8]) -> Option<&'a [u8]> {
    let end = rest.iter().position(|byte| *byte == b'\n')?;
    let (line, after) = rest.split_at(end + 1);
    *rest = after;
    line.strip_suffix(b"\r\n")
}

fn is_request_line(line: &[u8]) -> bool {
    let target = line
        .strip_prefix(b"GET ")
        .and_then(|line| line.strip_suffix(b" HTTP/1.1"));
    // A fragment does not belong there, and parsers differ about it.
    let is_plain = |byte: &u8| byte.is_ascii_graphic() && *byte != b'#';
    target.is_some_and(|target| target.starts_with(b"/") && target.iter().all(is_plain))
}

/// What may be said of a field whose name is known.
enum Rule {
    /// It must be there (or not, see [`Fields::NEEDED`]), at most once, and
    /// its value must be as the function says. The bit stands for it.
    Once(u8, fn(&[u8]) -> bool),
    /// It makes the request one that is not plain.
    Refused,
}

/// The bit of the key.
const KEY: u8 = 8;

/// The fields that decide, by name.
const RULES: [(&[u8], Rule); 14] = [
    (b"Host", Rule::Once(1, is_not_empty)),
    (b"Connection", Rule::Once(2, is_upgrade)),
    (b"Upgrade", Rule::Once(4, is_websocket)),
    (b"Sec-WebSocket-Key", Rule::Once(KEY, is_key)),
    (b"Sec-WebSocket-Version", Rule::Once(16, is_version_13)),
    // How these are written is checked by whoever answers.
    (b"Sec-WebSocket-Protocol", Rule::Once(32, is_not_empty)),
    (b"Sec-WebSocket-Extensions", Rule::Once(64, is_not_empty)),
    (b"Content-Length", Rule::Refused),
    (b"Transfer-Encoding", Rule::Refused),
    (b"Expect", Rule::Refused),
    (b"Trailer", Rule::Refused),
    (b"TE", Rule::Refused),
    (b"HTTP2-Settings", Rule::Refused),
    (b"Proxy-Connection", Rule::Refused),
];

/// Which of the fields with a rule were there.
#[derive(Default)]
struct Fields<'a> {
    seen: u8,
    key: &'a [u8],
}

impl<'a> Fields<'a> {
    /// The bits of those that must be there.
    const NEEDED: u8 = 1 | 2 | 4 | KEY | 16;

    fn are_complete(&self) -> bool {
        self.seen & Self::NEEDED == Self::NEEDED
    }

    /// Takes note of a field; `None` if it is not one of a plain request.
    fn add(&mut self, line: &'a [u8]) -> Option<()> {
        let colon = line.iter().position(|byte| *byte == b':')?;
        let (name, value) = (&line[..colon], trim(&line[colon + 1..]));
        // Nothing that begins with an underscore is a name that a client needs,
        // but some mean something in JavaScript.
        let is_name = name.first().is_some_and(|first| *first != b'_')
            && name.iter().all(|byte| is_token_char(*byte));
        if !is_name || !is_value(value) {
            return None;
        }
        let mut rules = RULES.iter();
        match rules.find(|rule| rule.0.eq_ignore_ascii_case(name)) {
            None => Some(()),
            Some((_, Rule::Refused)) => None,
            Some((_, Rule::Once(bit, is_valid))) => {
                let is_first = self.seen & bit == 0;
                self.seen |= bit;
                if *bit == KEY {
                    self.key = value;
                }
                (is_first && is_valid(value)).then_some(())
            }
        }
    }
}

/// The value without what may be at its ends: a space or tab before it, a space
/// after it. (With a tab there, Node's parser does not see `upgrade`.)
fn trim(value: &[u8]) -> &[u8] {
    let value = match value {
        [b' ' | b'\t', value @ ..] => value,
        value => value,
    };
    match value {
        [value @ .., b' '] => value,
        value => value,
    }
}

/// Whether a trimmed value is visible text, with spaces and tabs inside only.
fn is_value(value: &[u8]) -> bool {
    let is_space = |byte: Option<&u8>| matches!(byte, Some(b' ' | b'\t'));
    !is_space(value.first())
        && !is_space(value.last())
        && value.iter().all(|byte| matches!(byte, b' '..=b'~' | b'\t'))
}

fn is_not_empty(value: &[u8]) -> bool {
    !value.is_empty()
}

fn is_websocket(value: &[u8]) -> bool {
    value.eq_ignore_ascii_case(b"websocket")
}

/// Whether the options of a `Connection` are "upgrade", once, and perhaps
/// "keep-alive".
fn is_upgrade(value: &[u8]) -> bool {
    let mut upgrades = 0;
    let are_known = value
        .split(|byte| *byte == b',')
        .enumerate()
        .all(|(i, option)| {
            let option = match option {
                [b' ', option @ ..] if i > 0 => option,
                option => option,
            };
            let is_upgrade = option.eq_ignore_ascii_case(b"upgrade");
            upgrades += usize::from(is_upgrade);
            is_upgrade || option.eq_ignore_ascii_case(b"keep-alive")
        });
    are_known && upgrades == 1
}

fn is_key(value: &[u8]) -> bool {
    std::str::from_utf8(value).is_ok_and(is_valid_key)
}

fn is_version_13(value: &[u8]) -> bool {
    value == b"13"
}

#[cfg(test)]
mod tests {
    use super::*;

    const CHROME: &str = "GET /chat?room=1&x=%20|{} HTTP/1.1\r\n\
        Host: localhost:8080\r\nConnection: Upgrade\r\nPragma: no-cache\r\n\
        Cache-Control: no-cache\r\nUser-Agent: Mozilla/5.0 (X11; Linux x86_64) \
        AppleWebKit/537.36 (KHTML, like Gecko) Chrome/126.0.0.0 Safari/537.36\r\n\
        Upgrade: websocket\r\nOrigin: http://localhost:8080\r\n\
        Sec-WebSocket-Version: 13\r\nAccept-Encoding: gzip, deflate, br, zstd\r\n\
        Accept-Language: en-US,en;q=0.9\r\nCookie: a=\"1\"; b=2\r\n\
        Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
        Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits\r\n\r\n";

    const FIREFOX: &str = "GET / HTTP/1.1\r\nHost: [::1]:8080\r\n\
        User-Agent: Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0\r\n\
        Accept: */*\r\nAccept-Language: en-US,en;q=0.5\r\n\
        Accept-Encoding: gzip, deflate, br, zstd\r\nSec-WebSocket-Version: 13\r\n\
        Origin: null\r\nSec-WebSocket-Protocol: a, b\r\n\
        Sec-WebSocket-Extensions: permessage-deflate\r\n\
        Sec-WebSocket-Key: ++++++++++////////////==\r\nDNT: 1\r\n\
        Connection: keep-alive, Upgrade\r\nSec-Fetch-Dest: empty\r\n\
        Sec-Fetch-Mode: websocket\r\nSec-Fetch-Site: same-origin\r\n\
        Pragma: no-cache\r\nCache-Control: no-cache\r\nUpgrade: websocket\r\n\r\n";

    const WS: &str = "GET / HTTP/1.1\r\nSec-WebSocket-Version: 13\r\n\
        Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nConnection: Upgrade\r\n\
        Upgrade: websocket\r\n\
        Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits\r\n\
        Host: localhost:8080\r\n\r\n";

    const PYTHON: &str = "GET /socket HTTP/1.1\r\nHost: localhost:8080\r\n\
        Upgrade: websocket\r\nConnection: Upgrade\r\n\
        Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\
        Sec-WebSocket-Extensions: permessage-deflate; server_max_window_bits=12; \
        client_max_window_bits=12\r\n\
        User-Agent: Python/3.12 websockets/13.0\r\n\r\n";

    const UNDICI: &str = "GET / HTTP/1.1\r\nhost: 127.0.0.1:8080\r\nconnection: upgrade\r\n\
        upgrade: websocket\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
        sec-websocket-version: 13\r\n\
        sec-websocket-extensions: permessage-deflate; client_max_window_bits\r\n\
        accept: */*\r\naccept-language: *\r\nsec-fetch-mode: websocket\r\n\
        user-agent: node\r\npragma: no-cache\r\ncache-control: no-cache\r\n\
        accept-encoding: gzip, deflate\r\n\r\n";

    const CLIENTS: [&str; 5] = [CHROME, FIREFOX, WS, PYTHON, UNDICI];

    fn is_plain(bytes: &[u8]) -> bool {
        classify(bytes) != Classified::Other
    }

    /// The length of a plain head.
    fn head_of(bytes: &[u8]) -> Option<usize> {
        match classify(bytes) {
            Classified::Plain { head_len, key } => {
                assert!(is_valid_key(key));
                Some(head_len)
            }
            Classified::Other => None,
        }
    }

    /// The length of a head that is a valid upgrade to another parser of HTTP
    /// and to what ws checks.
    fn valid_head(bytes: &[u8]) -> Option<usize> {
        let mut fields = [httparse::EMPTY_HEADER; MAX_FIELDS];
        let mut request = httparse::Request::new(&mut fields);
        let httparse::Status::Complete(len) = request.parse(bytes).ok()? else {
            return None;
        };
        let once = |name: &str, is_valid: fn(&[u8]) -> bool| {
            let fields = request.headers.iter();
            let mut named = fields.filter(|field| field.name.eq_ignore_ascii_case(name));
            named.next().is_some_and(|field| is_valid(field.value)) && named.next().is_none()
        };
        let is_valid = request.method == Some("GET")
            && once("Upgrade", is_websocket)
            && once("Sec-WebSocket-Key", is_key)
            && once("Sec-WebSocket-Version", is_version_13);
        is_valid.then_some(len)
    }

    /// A plain request with `from` replaced.
    fn with(from: &str, to: &str) -> String {
        assert!(WS.contains(from), "{from}");
        WS.replacen(from, to, 1)
    }

    /// A plain request with a line more.
    fn and(line: &str) -> String {
        with("Host:", &format!("{line}\r\nHost:"))
    }

    #[test]
    fn requests_of_usual_clients_are_plain() {
        for request in CLIENTS {
            let head_len = request.len();
            assert_eq!(head_of(request.as_bytes()), Some(head_len), "{request}");

            let followed = [request.as_bytes(), b"\x81\x80\r\n\r\n\xff"].concat();
            assert_eq!(head_of(&followed), Some(head_len), "{request}");
        }
    }

    #[test]
    fn what_is_cut_off_is_not_plain() {
        for request in CLIENTS {
            for cut in 0..request.len() {
                assert!(!is_plain(&request.as_bytes()[..cut]), "{cut} of {request}");
            }
        }
    }

    /// Each byte of a request replaced by, and preceded by, each value: what is
    /// plain then must be a valid upgrade to those who are not asked.
    #[test]
    fn what_is_plain_in_spite_of_any_byte_is_valid() {
        let mut plain = 0;
        for at in 0..=WS.len() {
            for (byte, replaced) in (0..=255).flat_map(|byte| [(byte, 0), (byte, 1)]) {
                let mut bytes = WS.as_bytes().to_vec();
                let end = (at + replaced).min(bytes.len());
                bytes.splice(at..end, [byte]);
                let Classified::Plain { head_len, .. } = classify(&bytes) else {
                    continue;
                };
                plain += 1;
                assert!(bytes[..head_len].ends_with(b"\r\n\r\n"));
                assert_eq!(valid_head(&bytes), Some(head_len), "{byte} at {at}");
            }
        }
        assert!(plain > 10_000, "{plain}");
    }

    #[test]
    fn control_bytes_and_bytes_beyond_ascii_are_never_plain() {
        for at in 0..WS.len() - 1 {
            for byte in (0..=255).filter(|byte| !matches!(byte, b' '..=b'~' | b'\t')) {
                let mut bytes = WS.as_bytes().to_vec();
                bytes.insert(at, byte);
                assert!(!is_plain(&bytes), "{byte} at {at}");
            }
        }
    }

    #[test]
    fn small_differences_in_writing_are_plain() {
        for request in [
            with("Connection: Upgrade", "connection:upgrade"),
            with("Connection: Upgrade", "CONNECTION:\tUPGRADE "),
            with("Connection: Upgrade", "Connection: Keep-Alive,Upgrade"),
            with("Connection: Upgrade", "Connection: Upgrade, keep-alive"),
            with("Upgrade: websocket", "Upgrade: WebSocket "),
            and("X: "),
            and("X:"),
            and("X: a\tb  c"),
            and("Cookie: a=1\r\nCookie: b=2"),
        ] {
            let head_len = request.len();
            assert_eq!(head_of(request.as_bytes()), Some(head_len), "{request}");
        }
    }

    #[test]
    fn anything_unusual_is_not_plain() {
        let key = "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==";
        for request in [
            with("GET", "POST"),
            with("GET", "get"),
            with("GET ", "GET  "),
            with("GET ", "\r\nGET "),
            with("GET /", "GET *"),
            with("GET /", "GET http://localhost/"),
            with("GET /", "GET /#a"),
            with("GET /", "GET /a b"),
            with("GET /", "GET /\u{e9}"),
            with("HTTP/1.1", "HTTP/1.0"),
            with("HTTP/1.1", "http/1.1"),
            with("HTTP/1.1", "HTTP/1.1 "),
            with("HTTP/1.1\r\n", "HTTP/1.1\n"),
            with("HTTP/1.1\r\n", "HTTP/1.1\r\r\n"),
            with("8080\r\n\r\n", "8080\n\n"),
            with("8080\r\n\r\n", "8080\r\n\n"),
            with("Host: localhost:8080\r\n", ""),
            with("Host: localhost:8080", "Host:"),
            with("Host: localhost:8080", "Host : localhost"),
            and("host: localhost"),
            with("Connection: Upgrade\r\n", ""),
            with("Connection: Upgrade", "Connection: close"),
            with("Connection: Upgrade", "Connection: Upgrade, close"),
            with("Connection: Upgrade", "Connection: Upgrade,"),
            with("Connection: Upgrade", "Connection: Upgrade , keep-alive"),
            with("Connection: Upgrade", "Connection: Upgrade, Upgrade"),
            with("Connection: Upgrade", "Connection: keep-alive"),
            with("Connection: Upgrade", "Connection: Upgrade\t"),
            and("connection: upgrade"),
            with("Upgrade: websocket\r\n", ""),
            with("Upgrade: websocket", "Upgrade: websocket, h2c"),
            with("Upgrade: websocket", "Upgrade:  websocket"),
            and("upgrade: websocket"),
            with(key, "X: y"),
            with("ZQ==", "ZQ="),
            with("ZQ==", "Z-=="),
            and(key),
            with("Version: 13", "Version: 8"),
            with("Version: 13", "Version: 13, 8"),
            with("Version: 13", "Version: 013"),
            and("Sec-WebSocket-Version: 13"),
            and("Sec-WebSocket-Extensions: a"),
            and("Sec-WebSocket-Protocol: a\r\nSec-WebSocket-Protocol: b"),
            and("Sec-WebSocket-Protocol:"),
            and("Content-Length: 0"),
            and("transfer-encoding: chunked"),
            and("Expect: 100-continue"),
            and("Trailer: x"),
            and("TE: trailers"),
            and("HTTP2-Settings: AAMAAABkAAQAAP__"),
            and("Proxy-Connection: keep-alive"),
            and("__proto__: x"),
            and(": x"),
            and("x"),
            and(" x: y"),
            and("X: a\r\n b"),
            and("X: a\r\n\tb"),
            and("X: \u{e9}"),
            and("X(): a"),
            and("X: a  "),
            "\x16\x03\x01\x02\0\x01".to_owned(),
            "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n".to_owned(),
            String::new(),
        ] {
            assert!(!is_plain(request.as_bytes()), "{request:?}");
        }
    }

    #[test]
    fn what_is_large_is_not_plain() {
        let fields = |count: usize| and(&["X: y"].repeat(count).join("\r\n"));
        assert!(is_plain(fields(MAX_FIELDS - 6).as_bytes()));
        assert!(!is_plain(fields(MAX_FIELDS - 5).as_bytes()));

        let sized = |len: usize| and(&format!("X: {}", "y".repeat(len - WS.len() - 5)));
        assert_eq!(sized(MAX_PLAIN_HEAD).len(), MAX_PLAIN_HEAD);
        assert!(is_plain(sized(MAX_PLAIN_HEAD).as_bytes()));
        assert!(!is_plain(sized(MAX_PLAIN_HEAD + 1).as_bytes()));
    }
}
