//! The error with which a server ends a session: read as it passes, and kept for the next call if nobody waits for
//! a reply, so that its user learns why.

use super::Status;

/// Enough for the fields that matter; details may be longer.
const MOST: usize = 8 * 1024;

/// The body of one error on its way, as far as it is read.
#[derive(Debug, Default)]
pub(super) struct Farewell {
    body: Vec<u8>,
}

impl Farewell {
    pub(super) fn begin(&mut self) {
        self.body.clear();
    }

    pub(super) fn add(&mut self, bytes: &[u8]) {
        let room = MOST.saturating_sub(self.body.len());
        self.body.extend_from_slice(&bytes[..bytes.len().min(room)]);
    }

    /// The whole body was read: notes what it says if it ends the session. An error that nobody `asked` for does, for
    /// the driver goes no further after it.
    pub(super) fn end(&mut self, asked: bool, status: &Status) {
        let field = |wanted: u8| {
            let fields = self.body.split(|&byte| byte == 0);
            let text = fields.filter_map(|field| match field.split_first() {
                Some((&kind, text)) if kind == wanted => Some(String::from_utf8_lossy(text)),
                _ => None,
            });
            text.into_iter().next()
        };
        // `S` may be translated. Servers before 9.6 and some poolers send no `V`.
        let severity = field(b'V').or_else(|| field(b'S'));
        if asked && !matches!(severity.as_deref(), Some("FATAL" | "PANIC")) {
            return;
        }
        let message = field(b'M').unwrap_or_default();
        let code = field(b'C').unwrap_or_default();
        status.end(format!("{message} (SQLSTATE {code})"));
    }
}
