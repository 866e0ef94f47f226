//! `--config FILE.toml`: keys are the long flags with `_` for `-`; a flag on the command line
//! beats the file; a key that is no flag of the verb is refused.
//!
//! `serve` is the exception: its `--config` names the guard's own settings, which are more than
//! flags, and is read by the verb.
//!
//! The file is turned into flags before clap parses, so every verb has it, and a wrong value is
//! reported in clap's words as if it had been typed.

use crate::{cli::Cli, outcome::Failure};
use clap::{Command, CommandFactory as _};
use std::{ffi::OsString, path::PathBuf};

/// Replaces `--config FILE` in `argv` by the flags that the file holds and `argv` doesn't.
pub fn expand(argv: Vec<OsString>) -> Result<Vec<OsString>, Failure> {
    if argv.get(1).is_some_and(|verb| verb == "serve") {
        return Ok(argv);
    }
    let (path, argv) = take_config(argv)?;
    let Some(path) = path else { return Ok(argv) };
    let text = fs_err::read_to_string(&path).map_err(|e| {
        Failure::input("config", e).file(path.display()).hint("name a readable TOML file")
    })?;
    let text = text.strip_prefix('\u{feff}').unwrap_or(&text);
    let table: toml::Table = toml::from_str(text).map_err(|e| {
        let line = e
            .span()
            .map(|span| 1 + text.bytes().take(span.start).filter(|b| *b == b'\n').count() as u64);
        Failure::input("config", format!("{}: {}", path.display(), e.message()))
            .file(path.display())
            .line(line)
    })?;
    let root = Cli::command();
    let verb = verb_of(&root, &argv);
    let mut expanded = argv.clone();
    for (key, value) in &table {
        let long = key.replace('_', "-");
        if !verb.get_arguments().any(|a| a.get_long() == Some(long.as_str())) || long == "config" {
            let mut known: Vec<String> = verb
                .get_arguments()
                .filter_map(|a| a.get_long())
                .filter(|l| *l != "config" && *l != "help" && *l != "version")
                .map(|l| l.replace('-', "_"))
                .collect();
            known.sort();
            return Err(Failure::input(
                "config",
                format!("{}: unknown key {key:?} for `{}`", path.display(), verb.get_name()),
            )
            .file(path.display())
            .hint(format!("known keys: {}", known.join(", "))));
        }
        if typed(&argv, &long) {
            continue;
        }
        push_value(&mut expanded, &long, value).map_err(|found| {
            Failure::input("config", format!("{}: key {key:?} can't be {found}", path.display()))
                .file(path.display())
                .hint("give a string, number, boolean, or a list of strings")
        })?;
    }
    Ok(expanded)
}

/// Splits off `--config FILE` or `--config=FILE`.
fn take_config(argv: Vec<OsString>) -> Result<(Option<PathBuf>, Vec<OsString>), Failure> {
    let mut path = None;
    let mut rest = Vec::with_capacity(argv.len());
    let mut argv = argv.into_iter();
    while let Some(arg) = argv.next() {
        if arg == "--" {
            rest.push(arg);
            rest.extend(argv);
            break;
        }
        let found = if arg == "--config" {
            Some(argv.next().map(PathBuf::from).ok_or_else(|| {
                Failure::input("usage", "--config needs a file")
                    .hint("give --config FILE.toml, whose keys are the long flags with '_'")
            })?)
        } else {
            arg.to_str().and_then(|a| a.strip_prefix("--config=")).map(PathBuf::from)
        };
        match found {
            Some(_) if path.is_some() => {
                return Err(Failure::input("usage", "--config is given twice"));
            }
            Some(file) => path = Some(file),
            None => rest.push(arg),
        }
    }
    Ok((path, rest))
}

/// The command whose flags apply: the deepest subcommand that `argv` names; a bare `audit`
/// means `audit run`.
fn verb_of<'a>(root: &'a Command, argv: &[OsString]) -> &'a Command {
    let mut verb = root;
    for arg in argv.iter().skip(1).filter_map(|a| a.to_str()) {
        if let Some(sub) = verb.find_subcommand(arg) {
            verb = sub;
        }
    }
    verb
}

/// Whether the flag stands on the command line.
fn typed(argv: &[OsString], long: &str) -> bool {
    let flag = format!("--{long}");
    let with_value = format!("--{long}=");
    argv.iter()
        .take_while(|a| *a != "--")
        .filter_map(|a| a.to_str())
        .any(|a| a == flag || a.starts_with(&with_value))
}

/// Appends the flag with its value; what can't be a flag's value is named.
fn push_value(
    argv: &mut Vec<OsString>,
    long: &str,
    value: &toml::Value,
) -> Result<(), &'static str> {
    let text = match value {
        toml::Value::Boolean(true) => {
            argv.push(format!("--{long}").into());
            return Ok(());
        }
        toml::Value::Boolean(false) => return Ok(()),
        toml::Value::Array(items) => {
            return items.iter().try_for_each(|item| match item {
                toml::Value::Array(_) => Err("a list of lists"),
                item => push_value(argv, long, item),
            });
        }
        toml::Value::String(text) => text.clone(),
        toml::Value::Integer(number) => number.to_string(),
        toml::Value::Float(number) => number.to_string(),
        toml::Value::Datetime(time) => time.to_string(),
        toml::Value::Table(_) => return Err("a table"),
    };
    argv.push(format!("--{long}={text}").into());
    Ok(())
}
