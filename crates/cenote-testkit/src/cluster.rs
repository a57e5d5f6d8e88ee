//! A new PostgreSQL cluster, owned by the account that will serve it.
//!
//! `initdb` takes about a second of a processor. A process that starts many servers runs it once,
//! keeps the result as a template and copies that; the template is gone with the process.

use crate::account::Account;
use crate::error::ServerError;
use crate::guardian::Guardian;
use crate::programs;
use crate::server;
use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Mutex, PoisonError};
use tempfile::TempDir;

/// The superuser of every cluster made here, and a database of that name.
pub(crate) const SUPERUSER: &str = "postgres";

/// As the folders of clusters are called.
pub(crate) const KIND: &str = "postgres";

/// A cluster that trusts every client and has never been served.
struct Template {
    folder: TempDir,
    // A `static` is never dropped: the guardian removes the folder when the process is gone.
    _guardian: Guardian,
}

static TEMPLATE: Mutex<Option<Template>> = Mutex::new(None);

/// Where the cluster is in a server's folder.
pub(crate) fn data(folder: &Path) -> PathBuf {
    folder.join("data")
}

/// Makes a cluster in `folder`, which is given to `account` with all that is in it.
pub(crate) fn create(
    folder: &Path,
    account: Option<Account>,
    password: Option<&str>,
) -> Result<(), ServerError> {
    if let Some(account) = account {
        account.take(folder)?;
    }
    match password {
        Some(password) => protected(folder, account, password),
        None => trusting(folder, account),
    }
}

/// A program of PostgreSQL's, run as `account`.
pub(crate) fn command(program: &Path, account: Option<Account>) -> Command {
    let mut command = Command::new(program);
    // A caller's own PGDATA, PGPORT and the like are meant for other servers.
    for (name, _) in env::vars_os() {
        if name.as_encoded_bytes().starts_with(b"PG") {
            command.env_remove(name);
        }
    }
    if let Some(account) = account {
        account.apply(&mut command);
    }
    command
}

fn trusting(folder: &Path, account: Option<Account>) -> Result<(), ServerError> {
    // A panic cannot leave a template half made: it is stored when it is complete.
    let mut template = TEMPLATE.lock().unwrap_or_else(PoisonError::into_inner);
    let template = match &mut *template {
        Some(template) => template,
        empty => empty.insert(Template::make(account)?),
    };
    // As root too, owners and modes are kept: PostgreSQL insists on both.
    let mut copy = Command::new("cp");
    copy.arg("-a")
        .arg(data(template.folder.path()))
        .arg(data(folder));
    run(copy)
}

impl Template {
    fn make(account: Option<Account>) -> Result<Self, ServerError> {
        let folder = server::folder(KIND)?;
        let guardian = Guardian::watch(folder.path(), "")?;
        if let Some(account) = account {
            account.take(folder.path())?;
        }
        let mut initdb = initdb(folder.path(), account)?;
        initdb.args(["--auth", "trust"]);
        run(initdb)?;
        Ok(Self {
            folder,
            _guardian: guardian,
        })
    }
}

fn protected(folder: &Path, account: Option<Account>, password: &str) -> Result<(), ServerError> {
    let file = folder.join("password");
    fs::write(&file, password).map_err(ServerError::system("write the password"))?;
    if let Some(account) = account {
        account.take(&file)?;
    }
    let mut initdb = initdb(folder, account)?;
    initdb
        .args(["--auth", "scram-sha-256", "--pwfile"])
        .arg(file);
    run(initdb)
}

fn initdb(folder: &Path, account: Option<Account>) -> Result<Command, ServerError> {
    let mut initdb = command(&programs::postgres("initdb")?, account);
    initdb
        .current_dir(folder)
        .args([
            "--username",
            SUPERUSER,
            "--encoding",
            "UTF8",
            "--no-locale",
            "--no-sync",
        ])
        // Small, so that a copy is.
        .arg("--wal-segsize=1")
        .arg("--pgdata")
        .arg(data(folder));
    Ok(initdb)
}

pub(crate) fn run(mut command: Command) -> Result<(), ServerError> {
    let program = PathBuf::from(command.get_program());
    let output = command
        .stdin(Stdio::null())
        .output()
        .map_err(ServerError::system(format!("run {}", program.display())))?;
    if output.status.success() {
        return Ok(());
    }
    let told = [output.stdout, output.stderr].concat();
    Err(ServerError::Setup {
        program,
        status: output.status,
        output: String::from_utf8_lossy(&told).into_owned(),
    })
}
