//! The account that PostgreSQL and PgBouncer run as: the caller's own, unless that is root, which they
//! refuse.

use crate::error::ServerError;
use std::fs;
use std::os::unix::fs::chown;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;

/// Numeric user and group of an account of this machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Account {
    user: u32,
    group: u32,
}

impl Account {
    /// The account to drop to: `None` when the caller is not root and needs none.
    pub(crate) fn unprivileged() -> Result<Option<Self>, ServerError> {
        if !rustix::process::geteuid().is_root() {
            return Ok(None);
        }
        let passwd =
            fs::read_to_string("/etc/passwd").map_err(ServerError::system("read /etc/passwd"))?;
        ["postgres", "nobody"]
            .iter()
            .find_map(|name| Self::named(name, &passwd))
            .map(Some)
            .ok_or(ServerError::NoAccount)
    }

    /// Finds `name` in the text of a passwd file.
    fn named(name: &str, passwd: &str) -> Option<Self> {
        passwd.lines().find_map(|line| {
            let mut fields = line.split(':');
            if fields.next()? != name {
                return None;
            }
            let user = fields.nth(1)?.parse().ok()?;
            let group = fields.next()?.parse().ok()?;
            Some(Self { user, group })
        })
    }

    /// Makes `command` run as this account, without the caller's supplementary groups.
    pub(crate) fn apply(self, command: &mut Command) {
        command.uid(self.user).gid(self.group);
    }

    /// Gives `path` to this account.
    pub(crate) fn take(self, path: &Path) -> Result<(), ServerError> {
        chown(path, Some(self.user), Some(self.group)).map_err(ServerError::system(format!(
            "give {} to the server's account",
            path.display()
        )))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PASSWD: &str = "root:x:0:0:root:/root:/bin/bash\n\
                          broken:x\n\
                          postgres:x:104:109:PostgreSQL,,,:/var/lib/postgresql:/bin/bash\n";

    #[test]
    fn an_account_is_found_by_its_whole_name() {
        let expected = Account {
            user: 104,
            group: 109,
        };
        assert_eq!(Account::named("postgres", PASSWD), Some(expected));
        assert_eq!(Account::named("post", PASSWD), None);
    }

    #[test]
    fn a_malformed_line_is_no_account() {
        assert_eq!(Account::named("broken", PASSWD), None);
    }
}
