//! What the tests need beyond cargo: packages of the system, a model, a model server, clients.
//!
//! Everything that is there already is left alone, so a second call takes no time.

use crate::process;

/// Debian packages and the program by which each is recognised.
const PACKAGES: [(&str, &str); 4] = [
    ("cmake", "cmake"),
    ("libclang-dev", "llvm-config-libclang"),
    ("chromium", "chromium"),
    ("postgresql", "initdb"),
];

/// Debian packages that only the gateway's benchmark needs.
const GATEWAY_PACKAGES: [(&str, &str); 3] = [("nginx", "nginx"), ("npm", "npm"), ("wrk", "wrk")];

/// Installs what is missing.
pub(crate) fn run() -> anyhow::Result<()> {
    install(&PACKAGES)?;
    process::run("scripts/models", &[])?;
    process::run("scripts/serve-model", &["--setup"])?;
    process::run("scripts/python-clients", &["--setup"])
}

/// Installs the gateway benchmark's load generator and peers; a peer that can't be had is said
/// by its script and absent from the tables.
pub(crate) fn gateway() -> anyhow::Result<()> {
    install(&GATEWAY_PACKAGES)?;
    process::run("scripts/gateway-peers", &["--setup"])
}

/// Installs those of the packages that are missing.
fn install(packages: &[(&'static str, &str)]) -> anyhow::Result<()> {
    let missing: Vec<&str> = packages
        .iter()
        .filter(|(package, program)| {
            !process::has(program)
                && process::output("dpkg-query", &["-W", "-f=${Status}", package])
                    .is_none_or(|status| !status.contains("install ok installed"))
        })
        .map(|(package, _)| *package)
        .collect();
    if !missing.is_empty() {
        let sudo = if process::output("id", &["-u"]).is_some_and(|id| id.trim() == "0") {
            ""
        } else {
            "sudo "
        };
        let line = format!(
            "{sudo}apt-get update -qq && DEBIAN_FRONTEND=noninteractive {sudo}apt-get install -y -qq {} >/dev/null",
            missing.join(" ")
        );
        process::run("sh", &["-c", &line])?;
    }
    Ok(())
}
