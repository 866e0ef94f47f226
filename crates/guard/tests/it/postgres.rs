//! A real PostgreSQL server of a test's own: fresh folder, Unix socket, no network.
//!
//! `cargo xtask setup` installs the programs where they are missing.

use std::collections::BTreeMap;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};
use stillwatch_evidence::Secret;
use stillwatch_guard::Secrets;
use stillwatch_guard::store::StoreConfig;

/// Patience for the server to come up or go down.
const PATIENCE: Duration = Duration::from_secs(30);

/// A server, stopped when dropped.
#[derive(Debug)]
pub(crate) struct Postgres {
    dir: tempfile::TempDir,
    bin: PathBuf,
    owner: Option<(u32, u32)>,
    child: Option<Child>,
}

impl Postgres {
    /// Makes a cluster and starts it.
    pub(crate) fn start() -> Self {
        let dir = tempfile::Builder::new().prefix("sw-pg").tempdir().expect("a folder for it");
        let bin = programs();
        // The server refuses to run as root: then it runs as the package's user.
        let owner =
            (id("-u", None) == 0).then(|| (id("-u", Some("postgres")), id("-g", Some("postgres"))));
        if let Some((uid, gid)) = owner {
            std::os::unix::fs::chown(dir.path(), Some(uid), Some(gid)).expect("root may");
        }
        let mut server = Self { dir, bin, owner, child: None };
        let output = server
            .command("initdb")
            .args(["-N", "-A", "trust", "-U", "guard", "-E", "UTF8", "--locale", "C", "-D"])
            .arg(server.dir.path().join("data"))
            .output()
            .expect("initdb starts");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        server.up();
        server
    }

    fn command(&self, program: &str) -> Command {
        let mut command = Command::new(self.bin.join(program));
        command.current_dir(self.dir.path()).env("LC_ALL", "C");
        if let Some((uid, gid)) = self.owner {
            command.uid(uid).gid(gid);
        }
        command
    }

    /// Starts the server again after [`Postgres::down`].
    pub(crate) fn up(&mut self) {
        let child = self
            .command("postgres")
            .arg("-D")
            .arg(self.dir.path().join("data"))
            .arg("-k")
            .arg(self.dir.path())
            .args(["-c", "listen_addresses=", "-c", "fsync=off", "-c", "shared_buffers=16MB"])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("postgres starts");
        self.child = Some(child);
        let since = Instant::now();
        loop {
            let ready = self
                .command("pg_isready")
                .args(["-q", "-U", "guard", "-d", "postgres", "-h"])
                .arg(self.dir.path())
                .status()
                .expect("pg_isready starts");
            if ready.success() {
                return;
            }
            assert!(since.elapsed() < PATIENCE, "the server doesn't come up");
            std::thread::sleep(Duration::from_millis(30));
        }
    }

    /// Stops the server at once; connections break.
    pub(crate) fn down(&mut self) {
        let stopped = self
            .command("pg_ctl")
            .args(["stop", "-s", "-m", "immediate", "-D"])
            .arg(self.dir.path().join("data"))
            .status()
            .expect("pg_ctl starts");
        assert!(stopped.success(), "the server doesn't stop");
        if let Some(mut child) = self.child.take() {
            child.wait().expect("it was our child");
        }
    }

    /// Its URL.
    pub(crate) fn url(&self) -> String {
        let socket = self.dir.path().display().to_string().replace('/', "%2F");
        format!("postgres://guard@localhost/postgres?host={socket}")
    }

    /// A configuration and secrets that lead to it.
    pub(crate) fn settings(&self) -> (StoreConfig, Secrets) {
        let config =
            StoreConfig { url_env: Some("DATABASE_URL".to_owned()), ..StoreConfig::default() };
        let url = Secret::new(self.url()).expect("not empty");
        (config, Secrets(BTreeMap::from([("DATABASE_URL".to_owned(), url)])))
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        if let Some(mut child) = self.child.take() {
            // Its children leave by themselves when it is gone.
            child.kill().ok();
            child.wait().ok();
        }
    }
}

/// The folder of the newest installed version.
fn programs() -> PathBuf {
    let mut versions: Vec<PathBuf> = fs_err::read_dir("/usr/lib/postgresql")
        .map(|entries| entries.flatten().map(|entry| entry.path().join("bin")).collect())
        .unwrap_or_default();
    versions.push(PathBuf::from("/usr/local/bin"));
    versions.push(PathBuf::from("/usr/bin"));
    versions.sort_by_key(|path| version(path));
    versions
        .into_iter()
        .rev()
        .find(|bin| bin.join("initdb").exists() && bin.join("postgres").exists())
        .expect("PostgreSQL isn't installed: cargo xtask setup")
}

fn version(bin: &Path) -> u32 {
    bin.parent()
        .and_then(Path::file_name)
        .and_then(|name| name.to_str())
        .and_then(|name| name.parse().ok())
        .unwrap_or(0)
}

fn id(flag: &str, user: Option<&str>) -> u32 {
    let output = Command::new("id").arg(flag).args(user).output().expect("id starts");
    String::from_utf8_lossy(&output.stdout).trim().parse().expect("a number")
}
