//! The file from which a name server loads its zone: what a test gives, below what every zone must have.

use crate::error::ServerError;
use std::fs;
use std::path::Path;

/// A zone of a test: its name, without the last dot, and its records, one a line.
#[derive(Debug)]
pub(crate) struct Zone {
    name: String,
    records: String,
}

impl Zone {
    /// Its name in the folder.
    pub(crate) const FILE: &str = "records.zone";

    /// A zone whose name can be written to a server's settings.
    pub(crate) fn new(name: &str, records: &str) -> Result<Self, ServerError> {
        let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
        if name.is_empty() || name.ends_with('.') || !name.bytes().all(is_plain) {
            return Err(ServerError::BadSetting {
                setting: "zone",
                value: format!("{name:?}"),
                accepted: "a name such as prod.test, without a last dot",
            });
        }
        Ok(Self {
            name: name.into(),
            records: records.into(),
        })
    }

    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// Writes the zone to `folder`. That a name is not there is good for a second.
    pub(crate) fn write(&self, folder: &Path) -> Result<(), ServerError> {
        let Self { name, records } = self;
        let text = format!(
            "$ORIGIN {name}.\n@ 60 SOA ns hostmaster 1 60 60 600 1\n@ 60 NS ns\nns 60 A 127.0.0.1\n{records}\n"
        );
        fs::write(folder.join(Self::FILE), text)
            .map_err(ServerError::system("write the name server's zone"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_that_would_be_more_than_a_name_is_refused() {
        for name in ["", "test.", "a b", "test\nserver:", "x\"y"] {
            let error = Zone::new(name, "").unwrap_err();
            assert!(error.to_string().starts_with("zone is "), "{error}");
        }
    }
}
