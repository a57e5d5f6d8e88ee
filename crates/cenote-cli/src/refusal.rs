//! How a command line is refused. What was typed as a value is never repeated: it may be a password, at the
//! place for one or, mistyped, at any other.

use clap::error::{ContextKind, ContextValue, Error, ErrorKind};

use crate::args::refuse;
use crate::secrets::{is_a_name, may_hold_a_password};

/// What stands where a value would be repeated.
const NOT_SHOWN: &str = "...";

/// `error` without what was typed.
pub fn discreet(mut error: Error) -> Error {
    let typed = |error: &Error, kind| match error.get(kind) {
        Some(ContextValue::String(text)) => text.clone(),
        _ => String::new(),
    };
    if error.kind() == ErrorKind::UnknownArgument {
        let argument = typed(&error, ContextKind::InvalidArg);
        if !argument.starts_with('-') {
            return refuse(
                ErrorKind::UnknownArgument,
                "there is an argument too many, which is not shown: it may be a part of a password. A target \
                 with spaces or other characters that the shell knows stands in 'single quotes'",
            );
        }
        // An advice to write it behind `--`.
        error.remove(ContextKind::Suggested);
        if may_hold_a_password(&argument) {
            hide(&mut error, ContextKind::InvalidArg);
        }
    }
    if !is_a_name(&typed(&error, ContextKind::InvalidSubcommand)) {
        hide(&mut error, ContextKind::InvalidSubcommand);
    }
    // Empty says that there was none.
    if !typed(&error, ContextKind::InvalidValue).is_empty() {
        hide(&mut error, ContextKind::InvalidValue);
    }
    error
}

fn hide(error: &mut Error, kind: ContextKind) {
    if error.get(kind).is_some() {
        error.insert(kind, ContextValue::String(NOT_SHOWN.into()));
    }
}
