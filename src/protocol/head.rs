//! Request and response heads (RFC 7230, section 3), read the way Node reads
//! them.
//!
//! Called by the handshake's users with what has arrived so far. Knows HTTP's
//! syntax, nothing of WebSocket.

use std::fmt;

/// The longest head, which is Node's default too.
pub const MAX_HEAD: usize = 16 * 1024;
/// The most header fields that are read.
const MAX_FIELDS: usize = 128;

/// Why a head can't be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HeadError {
    /// It is longer than [`MAX_HEAD`] or has too many fields.
    TooLarge,
    /// It is not HTTP/1.
    Malformed,
}

impl fmt::Display for HeadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::TooLarge => "The head is too large",
            Self::Malformed => "The head is malformed",
        })
    }
}

impl std::error::Error for HeadError {}

impl From<httparse::Error> for HeadError {
    fn from(error: httparse::Error) -> Self {
        match error {
            httparse::Error::TooManyHeaders => Self::TooLarge,
            _ => Self::Malformed,
        }
    }
}

/// Header fields, as they were sent.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Headers(Vec<(String, String)>);

impl Headers {
    fn new(fields: &[httparse::Header<'_>]) -> Self {
        let fields = fields.iter().map(|field| {
            // Node takes values for Latin-1.
            let value = field.value.iter().map(|byte| char::from(*byte));
            (field.name.to_owned(), value.collect())
        });

        Self(fields.collect())
    }

    /// Names and values in the order in which they were sent.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (&str, &str)> {
        self.0
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_str()))
    }

    /// The value of a field, whose name is given in lower case. Where it was
    /// sent several times, the first one counts or all are joined, as in Node.
    pub fn get(&self, name: &str) -> Option<String> {
        let mut values = self
            .0
            .iter()
            .filter(|field| field.0.eq_ignore_ascii_case(name))
            .map(|field| field.1.as_str());

        let separator = match name {
            "age"
            | "authorization"
            | "content-length"
            | "content-type"
            | "etag"
            | "expires"
            | "from"
            | "host"
            | "if-modified-since"
            | "if-unmodified-since"
            | "last-modified"
            | "location"
            | "max-forwards"
            | "proxy-authorization"
            | "referer"
            | "retry-after"
            | "server"
            | "user-agent" => None,
            "cookie" => Some("; "),
            _ => Some(", "),
        };

        let first = values.next()?.to_owned();

        Some(match separator {
            None => first,
            Some(separator) => values.fold(first, |joined, value| joined + separator + value),
        })
    }
}

/// The head of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RequestHead {
    /// The method.
    pub method: String,
    /// What was requested, as it was sent.
    pub target: String,
    /// The x of HTTP/1.x.
    pub minor_version: u8,
    /// The header fields.
    pub headers: Headers,
}

/// The head of a response.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ResponseHead {
    /// The status code.
    pub status: u16,
    /// The reason phrase.
    pub reason: String,
    /// The header fields.
    pub headers: Headers,
}

/// Reads the head of a request at the start of `data`. Returns it with its
/// length, or `None` when more data is needed.
pub fn parse_request(data: &[u8]) -> Result<Option<(RequestHead, usize)>, HeadError> {
    let mut fields = [httparse::EMPTY_HEADER; MAX_FIELDS];
    let mut request = httparse::Request::new(&mut fields);
    let Some(len) = complete(request.parse(data)?, data)? else {
        return Ok(None);
    };

    let head = RequestHead {
        method: request.method.unwrap_or_default().to_owned(),
        target: request.path.unwrap_or_default().to_owned(),
        minor_version: request.version.unwrap_or_default(),
        headers: Headers::new(request.headers),
    };
    Ok(Some((head, len)))
}

/// Reads the head of a response at the start of `data`. Returns it with its
/// length, or `None` when more data is needed.
pub fn parse_response(data: &[u8]) -> Result<Option<(ResponseHead, usize)>, HeadError> {
    let mut fields = [httparse::EMPTY_HEADER; MAX_FIELDS];
    let mut response = httparse::Response::new(&mut fields);
    let Some(len) = complete(response.parse(data)?, data)? else {
        return Ok(None);
    };

    let head = ResponseHead {
        status: response.code.unwrap_or_default(),
        reason: response.reason.unwrap_or_default().to_owned(),
        headers: Headers::new(response.headers),
    };
    Ok(Some((head, len)))
}

/// The length of a head, if it is complete and not too long.
fn complete(status: httparse::Status<usize>, data: &[u8]) -> Result<Option<usize>, HeadError> {
    match status {
        httparse::Status::Complete(len) if len <= MAX_HEAD => Ok(Some(len)),
        httparse::Status::Partial if data.len() < MAX_HEAD => Ok(None),
        _ => Err(HeadError::TooLarge),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const REQUEST: &[u8] = b"GET /chat?x=1 HTTP/1.1\r\n\
        Host: example.com\r\nHOST: other\r\nX-A: 1\r\nx-a:  2 \r\n\
        Cookie: a=1\r\ncookie: b=2\r\nX-Latin: \xe9\r\n\r\nrest";

    #[test]
    fn reads_a_request_and_leaves_what_follows() {
        let (head, len) = parse_request(REQUEST).unwrap().unwrap();
        assert_eq!(&REQUEST[len..], b"rest");
        assert_eq!(head.method, "GET");
        assert_eq!(head.target, "/chat?x=1");
        assert_eq!(head.minor_version, 1);
        assert_eq!(head.headers.iter().len(), 7);
        assert_eq!(head.headers.iter().nth(1), Some(("HOST", "other")));
    }

    #[test]
    fn joins_repeated_fields_as_node_does() {
        let (head, _) = parse_request(REQUEST).unwrap().unwrap();
        let get = |name| head.headers.get(name);
        assert_eq!(get("host").as_deref(), Some("example.com"));
        assert_eq!(get("x-a").as_deref(), Some("1, 2"));
        assert_eq!(get("cookie").as_deref(), Some("a=1; b=2"));
        assert_eq!(get("x-latin").as_deref(), Some("\u{e9}"));
        assert_eq!(get("x-b"), None);
    }

    #[test]
    fn waits_for_the_whole_head_at_every_cut() {
        let end = REQUEST.len() - 4;

        for cut in 0..end {
            assert_eq!(parse_request(&REQUEST[..cut]), Ok(None), "{cut}");
        }

        assert!(parse_request(&REQUEST[..end]).unwrap().is_some());
    }

    #[test]
    fn reads_a_response() {
        let data = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\r\n\x81\0";
        let (head, len) = parse_response(data).unwrap().unwrap();
        assert_eq!(head.status, 101);
        assert_eq!(head.reason, "Switching Protocols");
        assert_eq!(head.headers.get("upgrade").as_deref(), Some("websocket"));
        assert_eq!(&data[len..], b"\x81\0");
        assert_eq!(parse_response(&data[..20]), Ok(None));
    }

    #[test]
    fn refuses_what_is_not_http_and_what_is_too_much() {
        let malformed = Err(HeadError::Malformed);
        assert_eq!(parse_request(b"\x16\x03\x01\x02\0\x01"), malformed);
        assert_eq!(parse_request(b"GET / HTTP/2.0\r\n\r\n"), malformed);
        assert_eq!(
            parse_request(b"GET / HTTP/1.1\r\nA B: c\r\n\r\n"),
            malformed
        );

        let mut long = b"GET / HTTP/1.1\r\nX: ".to_vec();
        long.resize(MAX_HEAD, b'x');
        assert_eq!(parse_request(&long), Err(HeadError::TooLarge));

        let many = format!("GET / HTTP/1.1\r\n{}\r\n", "a: b\r\n".repeat(129));
        assert_eq!(parse_request(many.as_bytes()), Err(HeadError::TooLarge));
    }
}
