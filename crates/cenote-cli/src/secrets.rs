//! Passwords: where they come from other than the target, and what of the command line may be repeated.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use crate::target::Address;

/// Longer than any server takes; a file that is longer was given by mistake.
const LONGEST: u64 = 4096;

/// Why a password cannot be had from the file it is in. The file's path is not repeated: it may be the password.
#[derive(Debug, thiserror::Error)]
pub enum PasswordError {
    #[error("cannot read the file given to --password-file: {0}")]
    Unreadable(#[source] io::Error),
    #[error("the file given to --password-file holds no password; its first line should be one")]
    Empty,
    #[error(
        "the file given to --password-file is no password: it has more than one line, more than {LONGEST} bytes, \
         or is not UTF-8"
    )]
    NoPassword,
}

/// What the environment is asked for, each for one kind of target.
const POSTGRES: &str = "PGPASSWORD";
const REDIS: &str = "REDISCLI_AUTH";

/// `address` with the password from `file` or else from the environment, where it has none itself.
pub fn with_password(address: &Address, file: Option<&Path>) -> Result<Address, PasswordError> {
    let (url, variable) = match address {
        Address::Embedded(_) | Address::Tcp(_) => return Ok(address.clone()),
        Address::Postgres(url) => (url, POSTGRES),
        Address::Redis(url) => (url, REDIS),
    };
    if url.password().is_some() {
        return Ok(address.clone());
    }
    let password = match file {
        Some(path) => Some(from_file(path)?),
        None => std::env::var(variable)
            .ok()
            .filter(|password| !password.is_empty()),
    };
    Ok(match (address, password) {
        (Address::Postgres(url), Some(password)) => {
            Address::Postgres(url.with_option("password", &password))
        }
        (Address::Redis(url), Some(password)) => Address::Redis(url.with_password(&password)),
        _ => address.clone(),
    })
}

fn from_file(path: &Path) -> Result<String, PasswordError> {
    let mut bytes = Vec::new();
    let file = File::open(path).map_err(PasswordError::Unreadable)?;
    file.take(LONGEST + 1)
        .read_to_end(&mut bytes)
        .map_err(PasswordError::Unreadable)?;
    let text = String::from_utf8(bytes).map_err(|_| PasswordError::NoPassword)?;
    let password = text.strip_suffix('\n').unwrap_or(&text);
    let password = password.strip_suffix('\r').unwrap_or(password);
    match password {
        "" => Err(PasswordError::Empty),
        _ if text.len() as u64 > LONGEST || password.contains('\n') => {
            Err(PasswordError::NoPassword)
        }
        password => Ok(password.to_owned()),
    }
}

/// Whether something typed may be a target, or a part of one, that got to another place on the command line.
pub fn may_hold_a_password(text: &str) -> bool {
    text.contains(['@', ':']) || text.to_ascii_lowercase().contains("passw")
}

/// Whether something typed is a name and nothing else: letters, and few of them.
pub fn is_a_name(text: &str) -> bool {
    const LONGEST_NAME: usize = 12;
    text.len() <= LONGEST_NAME && text.bytes().all(|byte| byte.is_ascii_alphabetic())
}
