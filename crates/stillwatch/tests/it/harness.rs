//! Runs the real binary in a fresh folder and shows exit code and both streams as one text.

use std::{
    path::Path,
    process::{Command, Stdio},
};
use tempfile::TempDir;

/// A fresh folder in which the binary runs.
pub(crate) struct Sandbox {
    folder: TempDir,
}

/// What the binary left.
pub(crate) struct Ran {
    pub(crate) code: i32,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Sandbox {
    pub(crate) fn new() -> Self {
        Self { folder: tempfile::tempdir().expect("a temporary folder can be made") }
    }

    pub(crate) fn path(&self) -> &Path {
        self.folder.path()
    }

    pub(crate) fn write(&self, name: &str, text: impl AsRef<[u8]>) -> &Self {
        fs_err::write(self.path().join(name), text).expect("the temporary folder can be written");
        self
    }

    pub(crate) fn read(&self, name: &str) -> String {
        fs_err::read_to_string(self.path().join(name)).expect("the file was written as text")
    }

    pub(crate) fn run(&self, args: &[&str]) -> Ran {
        let output = stillwatch(self, args).output().expect("the binary starts");
        Ran {
            code: output.status.code().expect("the binary ends by itself"),
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }

    /// Exit code, standard output and standard error as one text, this folder's path masked.
    pub(crate) fn show(&self, args: &[&str]) -> String {
        let ran = self.run(args);
        let folder = self.path().to_string_lossy().into_owned();
        format!(
            "exit_code: {}\n----- stdout -----\n{}\n----- stderr -----\n{}",
            ran.code,
            ran.stdout.trim_end(),
            ran.stderr.trim_end()
        )
        .replace(&folder, "[DIR]")
    }
}

/// The binary with its arguments, in the sandbox, with nothing of the caller's environment that
/// it would look at.
pub(crate) fn stillwatch(sandbox: &Sandbox, args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_stillwatch"));
    command
        .args(args)
        .current_dir(sandbox.path())
        .env_remove("OPENAI_API_KEY")
        .env("NO_COLOR", "1")
        .stdin(Stdio::null());
    command
}
