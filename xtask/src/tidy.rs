//! House rules that a program can check.
//!
//! - every Rust file opens with a module doc and has at most [`MAX_LINES`] lines;
//! - nothing left aside in Rust files: ignored tests, placeholders, notes to do something later;
//! - crates depend only on rooms below them;
//! - relative links in Markdown files point to something.

use crate::{files, process};
use anyhow::{Context as _, bail};
use std::path::Path;

/// Files aim at 150 to 400 lines; beyond this they hold more than one thought.
const MAX_LINES: usize = 600;

/// The rooms, top to bottom: an arrow may only point down.
const ROOMS: [&str; 10] = [
    "stillwatch",
    "stillwatch-guard",
    "stillwatch-lab",
    "stillwatch-audit",
    "stillwatch-scan",
    "stillwatch-testkit",
    "stillwatch-traffic",
    "stillwatch-models",
    "stillwatch-evidence",
    "stillwatch-stats",
];

/// Checks everything and lists every breach.
pub(crate) fn run() -> anyhow::Result<()> {
    let mut breaches = Vec::new();
    rust_files(&mut breaches)?;
    crate_graph(&mut breaches)?;
    links(&mut breaches)?;
    if breaches.is_empty() {
        process::say("tidy: clean");
        return Ok(());
    }
    for breach in &breaches {
        process::say(breach);
    }
    bail!("{} house rules broken", breaches.len())
}

fn rust_files(breaches: &mut Vec<String>) -> anyhow::Result<()> {
    // Written in two halves so that this file doesn't break its own rule.
    let left_aside =
        [concat!("to", "do!("), concat!("#[ign", "ore"), concat!("FIX", "ME"), concat!("TO", "DO")];
    for path in files::tracked(&[".rs"])? {
        let text = files::read(&path)?;
        let name = path.display();
        let first = text.lines().find(|l| !l.trim().is_empty() && !l.starts_with("#!["));
        if !first.is_some_and(|l| l.starts_with("//!")) {
            breaches.push(format!("{name}:1: no module doc on top"));
        }
        let lines = text.lines().count();
        if lines > MAX_LINES {
            breaches.push(format!("{name}: {lines} lines, at most {MAX_LINES}: split by thought"));
        }
        for (index, line) in text.lines().enumerate() {
            if left_aside.iter().any(|word| line.contains(word)) {
                breaches.push(format!("{name}:{}: left aside: {}", index + 1, line.trim()));
            }
        }
    }
    Ok(())
}

fn crate_graph(breaches: &mut Vec<String>) -> anyhow::Result<()> {
    let metadata =
        process::output("cargo", &["metadata", "--format-version", "1", "--no-deps", "--locked"])
            .context("cargo metadata failed: is Cargo.lock up to date?")?;
    let metadata: serde_json::Value = serde_json::from_str(&metadata)?;
    let rank = |name: &str| ROOMS.iter().position(|room| *room == name);
    for package in metadata["packages"].as_array().into_iter().flatten() {
        let name = package["name"].as_str().unwrap_or_default();
        if name == "xtask" {
            continue;
        }
        let Some(from) = rank(name) else {
            breaches.push(format!("{name}: a crate that is no room of the house"));
            continue;
        };
        for dependency in package["dependencies"].as_array().into_iter().flatten() {
            let on = dependency["name"].as_str().unwrap_or_default();
            if rank(on).is_some_and(|to| to <= from) {
                breaches.push(format!("{name} depends on {on}, which lies above it"));
            }
        }
    }
    Ok(())
}

fn links(breaches: &mut Vec<String>) -> anyhow::Result<()> {
    let root = process::root();
    for path in files::tracked(&[".md"])? {
        let text = files::read(&path)?;
        let folder = root.join(path.parent().unwrap_or(Path::new("")));
        for (index, line) in text.lines().enumerate() {
            for target in link_targets(line) {
                let file = target.split('#').next().unwrap_or_default();
                let outside = file.contains("://") || file.starts_with("mailto:");
                if !file.is_empty() && !outside && !folder.join(file).exists() {
                    breaches.push(format!("{}:{}: dead link {target}", path.display(), index + 1));
                }
            }
        }
    }
    Ok(())
}

/// Targets of `[text](target)` in one line.
fn link_targets(line: &str) -> Vec<&str> {
    line.split("](").skip(1).filter_map(|rest| rest.split(')').next()).collect()
}
