//! What to do about an error, where `cenote` knows: by an option of its own, or by another target.

use std::error::Error;
use std::io;

use cenote::net::DialError;
use tokio_rustls::rustls::{self, CertificateError, InvalidMessage};

/// What may help against the error that these are the causes of, the outermost first.
pub fn advice<'a>(
    mut causes: impl Iterator<Item = &'a (dyn Error + 'static)>,
) -> Option<&'static str> {
    causes.find_map(|cause| {
        if let Some(error) = cause.downcast_ref::<rustls::Error>() {
            return about_tls(error);
        }
        if let Some(DialError::Unreachable { failures, .. }) = cause.downcast_ref() {
            let no_files = failures
                .iter()
                .any(|failure| is_out_of_files(&failure.error));
            return no_files.then_some(MORE_FILES);
        }
        match cause.downcast_ref::<io::Error>() {
            Some(error) if is_out_of_files(error) => return Some(MORE_FILES),
            Some(error) if error.to_string() == HANGS_UP => return Some(IS_IT_TLS),
            _ => {}
        }
        // Both drivers' errors name the method that they have for it.
        let asks_for_roots = cause.to_string().contains("tls_config");
        asks_for_roots.then_some("give certificates to trust with --root-certificates FILE")
    })
}

const MORE_FILES: &str = "`ulimit -n` shows and raises the limit";

/// What tokio-rustls says of a server that closes instead of answering to TLS.
const HANGS_UP: &str = "tls handshake eof";
const IS_IT_TLS: &str = "does the server speak TLS on this port?";

/// In this process or on this machine.
pub fn is_out_of_files(error: &io::Error) -> bool {
    const NUMBERS: [Option<i32>; 2] = [Some(24), Some(23)];
    NUMBERS.contains(&error.raw_os_error())
}

fn about_tls(error: &rustls::Error) -> Option<&'static str> {
    match error {
        rustls::Error::InvalidCertificate(problem) => about_certificate(problem),
        rustls::Error::InvalidMessage(InvalidMessage::InvalidContentType) => Some(IS_IT_TLS),
        _ => None,
    }
}

fn about_certificate(problem: &CertificateError) -> Option<&'static str> {
    match problem {
        // Of two authorities with one name, the one trusted did not sign it.
        CertificateError::UnknownIssuer | CertificateError::BadSignature => Some(
            "none of the trusted authorities issued the server's certificate; if one of your own did, give its \
             certificate with --root-certificates FILE",
        ),
        CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
            Some("the target's host must be one that the server's certificate names")
        }
        // A certificate that says of itself that it issues others, as `openssl req -x509` makes them.
        CertificateError::Other(other) if other.to_string().contains("CaUsedAsEndEntity") => Some(
            "the server's certificate is an authority's own; it must be one that an authority issued, whose \
             certificate --root-certificates FILE takes",
        ),
        _ => None,
    }
}
