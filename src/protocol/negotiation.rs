//! The negotiation of permessage-deflate (RFC 7692, sections 5 and 7.1).
//!
//! Called by the handshake and by the binding with parsed headers. Compresses
//! nothing: the outcome says how [`super::deflate`] is to be set up.

use std::fmt;

use super::extension::{Params, Value};
use super::number::from_js;
use super::receiver::InflateConfig;

/// The extension's registered name.
pub const EXTENSION_NAME: &str = "permessage-deflate";

/// The window that is used when none was agreed on.
const DEFAULT_WINDOW_BITS: u8 = 15;

/// What the user says about a side's window.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum WindowOption {
    /// Nothing (`undefined` or `null`).
    #[default]
    Unset,
    /// `false`: the parameter is neither offered nor accepted.
    Refuse,
    /// `true`: any size will do.
    Any,
    /// This size, as the base-2 logarithm.
    Bits(u8),
}

/// What the user says about compression.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DeflateOptions {
    /// Whether the server starts each message with an empty window; `Some(false)`
    /// refuses a client that asks for it.
    pub server_no_context_takeover: Option<bool>,
    /// The same for the client.
    pub client_no_context_takeover: Option<bool>,
    /// The server's window.
    pub server_max_window_bits: WindowOption,
    /// The client's window.
    pub client_max_window_bits: WindowOption,
}

/// A parameter of the extension (RFC 7692, section 7.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ParamName {
    /// `server_no_context_takeover`
    ServerNoContextTakeover,
    /// `client_no_context_takeover`
    ClientNoContextTakeover,
    /// `server_max_window_bits`
    ServerMaxWindowBits,
    /// `client_max_window_bits`
    ClientMaxWindowBits,
}

use ParamName::{
    ClientMaxWindowBits, ClientNoContextTakeover, ServerMaxWindowBits, ServerNoContextTakeover,
};

impl ParamName {
    /// The name in a header.
    pub const fn as_str(self) -> &'static str {
        match self {
            ServerNoContextTakeover => "server_no_context_takeover",
            ClientNoContextTakeover => "client_no_context_takeover",
            ServerMaxWindowBits => "server_max_window_bits",
            ClientMaxWindowBits => "client_max_window_bits",
        }
    }

    fn from_str(name: &str) -> Option<Self> {
        [
            ServerNoContextTakeover,
            ClientNoContextTakeover,
            ServerMaxWindowBits,
            ClientMaxWindowBits,
        ]
        .into_iter()
        .find(|param| param.as_str() == name)
    }
}

/// A parameter's value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ParamValue {
    /// The name stands alone.
    Flag,
    /// The base-2 logarithm of a window's size.
    Bits(u8),
}

/// The parameters of an offer or of an agreement, in the order in which they
/// appear in the header.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DeflateParams(Vec<(ParamName, ParamValue)>);

impl DeflateParams {
    /// A parameter's value, if it is there.
    pub fn get(&self, name: ParamName) -> Option<ParamValue> {
        let entry = self.0.iter().find(|entry| entry.0 == name);
        entry.map(|entry| entry.1)
    }

    /// All parameters.
    pub fn iter(&self) -> impl Iterator<Item = (ParamName, ParamValue)> + '_ {
        self.0.iter().copied()
    }

    /// The window size of the server (or of the client), agreed on or default.
    pub fn window_bits(&self, server: bool) -> u8 {
        let name = if server {
            ServerMaxWindowBits
        } else {
            ClientMaxWindowBits
        };

        match self.get(name) {
            Some(ParamValue::Bits(bits)) => bits,
            _ => DEFAULT_WINDOW_BITS,
        }
    }

    /// Whether the server (or the client) starts each message with an empty
    /// window.
    pub fn no_context_takeover(&self, server: bool) -> bool {
        let name = if server {
            ServerNoContextTakeover
        } else {
            ClientNoContextTakeover
        };

        self.get(name).is_some()
    }

    /// How the peer of a server (or of a client) compresses.
    pub fn inflate_config(&self, is_server: bool) -> InflateConfig {
        InflateConfig {
            window_bits: self.window_bits(!is_server),
            no_context_takeover: self.no_context_takeover(!is_server),
        }
    }

    /// Adds a parameter, or changes it where it is.
    fn set(&mut self, name: ParamName, value: ParamValue) {
        match self.0.iter_mut().find(|entry| entry.0 == name) {
            Some(entry) => entry.1 = value,
            None => self.0.push((name, value)),
        }
    }

    fn remove(&mut self, name: ParamName) {
        self.0.retain(|entry| entry.0 != name);
    }

    fn set_option(&mut self, name: ParamName, option: WindowOption) {
        match option {
            WindowOption::Any => self.set(name, ParamValue::Flag),
            WindowOption::Bits(bits) => self.set(name, ParamValue::Bits(bits)),
            WindowOption::Unset | WindowOption::Refuse => (),
        }
    }
}

/// Formats the extension with its parameters as a header value.
impl fmt::Display for DeflateParams {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(EXTENSION_NAME)?;

        for (name, value) in self.iter() {
            write!(f, "; {}", name.as_str())?;

            if let ParamValue::Bits(bits) = value {
                write!(f, "={bits}")?;
            }
        }

        Ok(())
    }
}

/// Why an offer or a response was not accepted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NegotiationError {
    /// A parameter appears more than once in an offer.
    RepeatedParam(String),
    /// A parameter of another extension, or of none.
    UnknownParam(String),
    /// A parameter with a value that it can't have.
    InvalidValue(ParamName, Value),
    /// The options rule out every offer.
    NoAcceptableOffer,
    /// The server demands what the options rule out.
    UnexpectedContextTakeover,
    /// The server demands a window that the options rule out.
    UnexpectedWindowBits,
}

impl NegotiationError {
    /// Whether the JavaScript error is a `TypeError`; otherwise it is an
    /// `Error`.
    pub fn is_type_error(&self) -> bool {
        matches!(self, Self::InvalidValue(..))
    }
}

impl fmt::Display for NegotiationError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::RepeatedParam(name) => {
                write!(f, "Parameter \"{name}\" must have only a single value")
            }
            Self::UnknownParam(name) => write!(f, "Unknown parameter \"{name}\""),
            Self::InvalidValue(name, value) => {
                let value = match value {
                    Value::Flag => "true",
                    Value::Text(text) => text,
                };
                let name = name.as_str();
                write!(f, "Invalid value for parameter \"{name}\": {value}")
            }
            Self::NoAcceptableOffer => f.write_str("None of the extension offers can be accepted"),
            Self::UnexpectedContextTakeover => {
                f.write_str("Unexpected parameter \"client_no_context_takeover\"")
            }
            Self::UnexpectedWindowBits => {
                f.write_str("Unexpected or invalid parameter \"client_max_window_bits\"")
            }
        }
    }
}

impl std::error::Error for NegotiationError {}

/// What a client asks for.
pub fn offer(options: &DeflateOptions) -> DeflateParams {
    let mut params = DeflateParams::default();

    if options.server_no_context_takeover == Some(true) {
        params.set(ServerNoContextTakeover, ParamValue::Flag);
    }
    if options.client_no_context_takeover == Some(true) {
        params.set(ClientNoContextTakeover, ParamValue::Flag);
    }

    params.set_option(ServerMaxWindowBits, options.server_max_window_bits);
    params.set_option(
        ClientMaxWindowBits,
        match options.client_max_window_bits {
            // A server may only limit our window if we say that we know how.
            WindowOption::Unset => WindowOption::Any,
            option => option,
        },
    );
    params
}

/// Chooses among a client's offers and says what is agreed on.
pub fn accept_as_server(
    options: &DeflateOptions,
    offers: &[Params],
) -> Result<DeflateParams, NegotiationError> {
    let offers = normalize(offers, true)?;
    let mut params = offers
        .into_iter()
        .find(|offer| is_acceptable(options, offer))
        .ok_or(NegotiationError::NoAcceptableOffer)?;

    if options.server_no_context_takeover == Some(true) {
        params.set(ServerNoContextTakeover, ParamValue::Flag);
    }
    if options.client_no_context_takeover == Some(true) {
        params.set(ClientNoContextTakeover, ParamValue::Flag);
    }
    if let WindowOption::Bits(bits) = options.server_max_window_bits {
        params.set(ServerMaxWindowBits, ParamValue::Bits(bits));
    }
    if let WindowOption::Bits(bits) = options.client_max_window_bits {
        params.set(ClientMaxWindowBits, ParamValue::Bits(bits));
    } else if options.client_max_window_bits == WindowOption::Refuse
        || params.get(ClientMaxWindowBits) == Some(ParamValue::Flag)
    {
        params.remove(ClientMaxWindowBits);
    }

    Ok(params)
}

/// Whether the options allow what an offer asks for.
fn is_acceptable(options: &DeflateOptions, offer: &DeflateParams) -> bool {
    let takeover = options.server_no_context_takeover != Some(false)
        || offer.get(ServerNoContextTakeover).is_none();

    let server_window = match (
        options.server_max_window_bits,
        offer.get(ServerMaxWindowBits),
    ) {
        (WindowOption::Refuse, Some(_)) => false,
        (WindowOption::Bits(ours), Some(ParamValue::Bits(theirs))) => ours <= theirs,
        _ => true,
    };

    let client_window = match (
        options.client_max_window_bits,
        offer.get(ClientMaxWindowBits),
    ) {
        (WindowOption::Bits(ours), Some(ParamValue::Bits(theirs))) => ours <= theirs,
        (WindowOption::Bits(_), None) => false,
        _ => true,
    };

    takeover && server_window && client_window
}

/// Checks a server's response against what we can do.
pub fn accept_as_client(
    options: &DeflateOptions,
    response: &[Params],
) -> Result<DeflateParams, NegotiationError> {
    let responses = normalize(response, false)?;
    let mut params = responses.into_iter().next().unwrap_or_default();

    if options.client_no_context_takeover == Some(false)
        && params.get(ClientNoContextTakeover).is_some()
    {
        return Err(NegotiationError::UnexpectedContextTakeover);
    }

    match (
        params.get(ClientMaxWindowBits),
        options.client_max_window_bits,
    ) {
        (None, WindowOption::Bits(bits)) => {
            params.set(ClientMaxWindowBits, ParamValue::Bits(bits));
            Ok(params)
        }
        (Some(_), WindowOption::Refuse) => Err(NegotiationError::UnexpectedWindowBits),
        (Some(ParamValue::Bits(theirs)), WindowOption::Bits(ours)) if theirs > ours => {
            Err(NegotiationError::UnexpectedWindowBits)
        }
        _ => Ok(params),
    }
}

/// Checks the parameters of every offer, also of those that will not be chosen.
fn normalize(offers: &[Params], is_server: bool) -> Result<Vec<DeflateParams>, NegotiationError> {
    let offers = offers.iter().map(|offer| {
        let mut params = DeflateParams::default();

        for (name, values) in offer.iter() {
            let [value] = values else {
                return Err(NegotiationError::RepeatedParam(name.to_owned()));
            };
            let Some(name) = ParamName::from_str(name) else {
                return Err(NegotiationError::UnknownParam(name.to_owned()));
            };

            params.set(name, normalize_value(name, value, is_server)?);
        }

        Ok(params)
    });

    offers.collect()
}

fn normalize_value(
    name: ParamName,
    value: &Value,
    is_server: bool,
) -> Result<ParamValue, NegotiationError> {
    let is_window = matches!(name, ServerMaxWindowBits | ClientMaxWindowBits);

    match value {
        Value::Flag if !is_window => Ok(ParamValue::Flag),
        // Only a client may leave the size to the other side (section 7.1.2.2).
        Value::Flag if name == ClientMaxWindowBits && is_server => Ok(ParamValue::Flag),
        Value::Text(text) if is_window => {
            let bits = from_js(text);
            let valid = bits.fract() == 0.0 && (8.0..=15.0).contains(&bits);
            valid.then_some(ParamValue::Bits(bits as u8))
        }
        .ok_or_else(|| NegotiationError::InvalidValue(name, value.clone())),
        _ => Err(NegotiationError::InvalidValue(name, value.clone())),
    }
}

#[cfg(test)]
mod tests {
    use super::super::extension::parse;
    use super::*;
    use WindowOption::{Any, Bits, Refuse, Unset};

    /// Options: takeover of server and client, window of server and client.
    fn options(
        server: Option<bool>,
        client: Option<bool>,
        server_bits: WindowOption,
        client_bits: WindowOption,
    ) -> DeflateOptions {
        DeflateOptions {
            server_no_context_takeover: server,
            client_no_context_takeover: client,
            server_max_window_bits: server_bits,
            client_max_window_bits: client_bits,
        }
    }

    fn offers(parameters: &[&str]) -> Vec<Params> {
        let header: Vec<String> = parameters
            .iter()
            .map(|list| {
                format!(
                    "{EXTENSION_NAME}{}{list}",
                    if list.is_empty() { "" } else { ";" }
                )
            })
            .collect();
        let extensions = parse(&header.join(",")).unwrap();
        extensions.get(EXTENSION_NAME).unwrap().to_vec()
    }

    /// The parameters agreed on, or the error.
    fn render(result: Result<DeflateParams, NegotiationError>) -> String {
        match result {
            Ok(params) => params
                .to_string()
                .trim_start_matches(EXTENSION_NAME)
                .trim_start_matches("; ")
                .to_owned(),
            Err(error) => error.to_string(),
        }
    }

    fn as_server(options: &DeflateOptions, parameters: &[&str]) -> String {
        render(accept_as_server(options, &offers(parameters)))
    }

    fn as_client(options: &DeflateOptions, parameters: &str) -> String {
        render(accept_as_client(options, &offers(&[parameters])))
    }

    const NONE: DeflateOptions = DeflateOptions {
        server_no_context_takeover: None,
        client_no_context_takeover: None,
        server_max_window_bits: Unset,
        client_max_window_bits: Unset,
    };

    #[test]
    fn a_client_offers_what_its_options_say() {
        let cases = [
            (NONE, "client_max_window_bits"),
            (options(None, None, Unset, Refuse), ""),
            (
                options(Some(true), Some(true), Bits(10), Bits(11)),
                "server_no_context_takeover; client_no_context_takeover; \
                 server_max_window_bits=10; client_max_window_bits=11",
            ),
            (
                options(Some(false), Some(false), Refuse, Any),
                "client_max_window_bits",
            ),
            (
                options(None, None, Any, Any),
                "server_max_window_bits; client_max_window_bits",
            ),
        ];

        for (options, expected) in cases {
            assert_eq!(render(Ok(offer(&options))), expected);
        }
    }

    #[test]
    fn a_server_without_options_takes_what_is_offered() {
        let cases = [
            ("", ""),
            ("client_max_window_bits", ""),
            ("client_max_window_bits=10", "client_max_window_bits=10"),
            (
                "server_max_window_bits=0xf;client_no_context_takeover",
                "server_max_window_bits=15; client_no_context_takeover",
            ),
        ];

        for (offered, expected) in cases {
            assert_eq!(as_server(&NONE, &[offered]), expected);
        }
    }

    #[test]
    fn a_server_adds_what_its_options_say_and_keeps_the_order_of_the_offer() {
        let all = options(Some(true), Some(true), Bits(10), Bits(11));
        assert_eq!(
            as_server(&all, &["client_max_window_bits;server_max_window_bits=12"]),
            "client_max_window_bits=11; server_max_window_bits=10; \
             server_no_context_takeover; client_no_context_takeover"
        );
        assert_eq!(
            as_server(
                &options(None, None, Unset, Refuse),
                &["client_max_window_bits=9;server_no_context_takeover"]
            ),
            "server_no_context_takeover"
        );
    }

    #[test]
    fn a_server_takes_the_first_offer_that_it_can_accept() {
        let none = "None of the extension offers can be accepted";
        let cases = [
            (
                options(Some(false), None, Unset, Unset),
                "server_no_context_takeover",
                none,
            ),
            (
                options(None, None, Refuse, Unset),
                "server_max_window_bits=15",
                none,
            ),
            (
                options(None, None, Bits(11), Unset),
                "server_max_window_bits=10",
                none,
            ),
            (
                options(None, None, Unset, Bits(11)),
                "client_max_window_bits=10",
                none,
            ),
            (options(None, None, Unset, Bits(11)), "", none),
        ];

        for (options, refused, expected) in cases {
            assert_eq!(as_server(&options, &[refused]), expected);

            let accepted = "server_max_window_bits=12;client_max_window_bits=12";
            let answer = as_server(&options, &[refused, accepted]);
            assert_eq!(
                answer.contains("max_window_bits"),
                options.server_max_window_bits != Refuse
            );
        }
    }

    #[test]
    fn a_client_checks_the_response() {
        let takeover = "Unexpected parameter \"client_no_context_takeover\"";
        let window = "Unexpected or invalid parameter \"client_max_window_bits\"";
        let eleven = options(None, None, Unset, Bits(11));
        let cases = [
            (NONE, "", ""),
            (
                NONE,
                "client_no_context_takeover",
                "client_no_context_takeover",
            ),
            (NONE, "client_max_window_bits=8", "client_max_window_bits=8"),
            (
                options(None, Some(false), Unset, Unset),
                "client_no_context_takeover",
                takeover,
            ),
            (
                options(None, None, Unset, Refuse),
                "client_max_window_bits=15",
                window,
            ),
            (eleven, "client_max_window_bits=12", window),
            (
                eleven,
                "client_max_window_bits=11",
                "client_max_window_bits=11",
            ),
            (eleven, "", "client_max_window_bits=11"),
        ];

        for (options, response, expected) in cases {
            assert_eq!(as_client(&options, response), expected);
        }
    }

    #[test]
    fn parameters_must_be_known_single_and_valid() {
        let cases = [
            ("foo", "Unknown parameter \"foo\""),
            (
                "server_max_window_bits=8;server_max_window_bits=8",
                "Parameter \"server_max_window_bits\" must have only a single value",
            ),
            ("foo;foo", "Parameter \"foo\" must have only a single value"),
            (
                "server_max_window_bits",
                "Invalid value for parameter \"server_max_window_bits\": true",
            ),
            (
                "client_max_window_bits=16",
                "Invalid value for parameter \"client_max_window_bits\": 16",
            ),
            (
                "server_max_window_bits=7",
                "Invalid value for parameter \"server_max_window_bits\": 7",
            ),
            (
                "server_max_window_bits=8.5",
                "Invalid value for parameter \"server_max_window_bits\": 8.5",
            ),
            (
                "server_no_context_takeover=10",
                "Invalid value for parameter \"server_no_context_takeover\": 10",
            ),
            (
                "client_no_context_takeover=true",
                "Invalid value for parameter \"client_no_context_takeover\": true",
            ),
        ];

        for (offered, expected) in cases {
            assert_eq!(as_client(&NONE, offered), expected);
            // Also where an earlier offer would do.
            assert_eq!(as_server(&NONE, &["", offered]), expected);
        }

        assert_eq!(
            as_client(&NONE, "client_max_window_bits"),
            "Invalid value for parameter \"client_max_window_bits\": true"
        );
    }

    #[test]
    fn only_an_invalid_value_is_a_type_error() {
        let error = |offered| accept_as_server(&NONE, &offers(&[offered])).unwrap_err();
        assert!(error("server_max_window_bits=x").is_type_error());
        assert!(!error("foo").is_type_error());
    }

    #[test]
    fn an_agreement_says_how_each_side_compresses() {
        let agreed = accept_as_server(
            &NONE,
            &offers(&["server_max_window_bits=10;client_no_context_takeover"]),
        )
        .unwrap();
        assert_eq!(
            (agreed.window_bits(true), agreed.window_bits(false)),
            (10, 15)
        );
        assert!(!agreed.no_context_takeover(true));
        assert!(agreed.no_context_takeover(false));
        assert_eq!(
            agreed.inflate_config(true),
            InflateConfig {
                window_bits: 15,
                no_context_takeover: true
            }
        );
        assert_eq!(
            agreed.inflate_config(false),
            InflateConfig {
                window_bits: 10,
                no_context_takeover: false
            }
        );
    }
}
