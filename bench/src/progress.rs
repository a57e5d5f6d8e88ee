//! One line on standard error that says what runs now; nothing when standard error is not a terminal.

use std::io::{IsTerminal, Write, stderr};

pub struct Progress {
    visible: bool,
}

impl Progress {
    pub fn on_terminal() -> Self {
        Self {
            visible: stderr().is_terminal(),
        }
    }

    #[cfg(test)]
    pub fn silent() -> Self {
        Self { visible: false }
    }

    pub fn show(&self, round: usize, of: usize, scenario: &str, subject: &str) {
        if self.visible {
            // Not shown is not worth an error.
            let _ = write!(
                stderr(),
                "\r\x1b[Kround {round}/{of}  {scenario}  {subject}"
            );
            let _ = stderr().flush();
        }
    }

    pub fn clear(&self) {
        if self.visible {
            let _ = write!(stderr(), "\r\x1b[K");
        }
    }
}
