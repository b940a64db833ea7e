//! TLS for the `https` cells: a client that trusts any certificate, and the
//! certificate that the servers under test use.

use crate::args::Args;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{ring, CryptoProvider};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConfig, ClientConnection, DigitallySignedStruct, SignatureScheme};
use std::io::{self, Read, Write};
use std::path::Path;
use std::sync::Arc;

/// What all connections share.
pub type Config = Arc<ClientConfig>;

/// A client's configuration, if the arguments ask for TLS.
pub fn config(args: &Args) -> io::Result<Option<Config>> {
    if !args.flag("tls") {
        return Ok(None);
    }
    let provider = Arc::new(ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider.clone())
        .with_safe_default_protocol_versions()
        .map_err(io::Error::other)?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(TrustAll(provider)))
        .with_no_client_auth();
    Ok(Some(Arc::new(config)))
}

/// A new session.
pub fn session(config: &Config) -> io::Result<Session> {
    let name = ServerName::try_from("localhost").map_err(io::Error::other)?;
    ClientConnection::new(config.clone(), name)
        .map(Session)
        .map_err(io::Error::other)
}

/// The TLS state of one connection.
pub struct Session(ClientConnection);

impl Session {
    /// A view of the session for blocking reads and writes.
    pub fn blocking<'a, S: Read + Write>(
        &'a mut self,
        stream: &'a mut S,
    ) -> rustls::Stream<'a, ClientConnection, S> {
        rustls::Stream::new(&mut self.0, stream)
    }

    /// True if encrypted bytes wait to be written.
    pub fn is_pending(&self) -> bool {
        self.0.wants_write()
    }

    /// Reads until the socket has no more; gives plain bytes to `each`.
    pub fn read(
        &mut self,
        stream: &mut (impl Read + Write),
        scratch: &mut [u8],
        mut each: impl FnMut(&[u8]),
    ) -> io::Result<()> {
        loop {
            match self.0.read_tls(stream) {
                Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Err(error) => return Err(error),
            }
            self.0.process_new_packets().map_err(io::Error::other)?;
            loop {
                match self.0.reader().read(scratch) {
                    Ok(0) => break,
                    Ok(count) => each(&scratch[..count]),
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                    Err(error) => return Err(error),
                }
            }
        }
    }

    /// Encrypts as much of `bytes` as there is room for and writes it. Returns
    /// how much was taken, and false if the socket is full.
    pub fn write(
        &mut self,
        stream: &mut (impl Read + Write),
        bytes: &[u8],
    ) -> io::Result<(usize, bool)> {
        let count = self.0.writer().write(bytes)?;
        while self.0.wants_write() {
            match self.0.write_tls(stream) {
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    return Ok((count, false));
                }
                Err(error) => return Err(error),
            }
        }
        Ok((count, true))
    }
}

/// Accepts any certificate: the server is one that the benchmark started.
#[derive(Debug)]
struct TrustAll(Arc<CryptoProvider>);

impl ServerCertVerifier for TrustAll {
    fn verify_server_cert(
        &self,
        _end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _message: &[u8],
        _cert: &CertificateDer<'_>,
        _dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _message: &[u8],
        _cert: &CertificateDer<'_>,
        _dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}

/// Mode `cert`: writes `cert.pem` and `key.pem` into the folder `--dir`.
pub fn write_certificate(args: &Args) -> io::Result<()> {
    let dir = args
        .text("dir")
        .ok_or_else(|| io::Error::other("no --dir"))?;
    let names = ["localhost".to_owned(), "127.0.0.1".to_owned()];
    let made = rcgen::generate_simple_self_signed(names).map_err(io::Error::other)?;
    std::fs::write(Path::new(dir).join("cert.pem"), made.cert.pem())?;
    std::fs::write(
        Path::new(dir).join("key.pem"),
        made.signing_key.serialize_pem(),
    )
}
