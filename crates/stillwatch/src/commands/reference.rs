//! `reference` (hidden): the CLI reference and the JSON schemas, from the code itself.
//!
//! `cargo xtask gen` writes them into `docs/reference/`, `gen --check` compares.

use crate::{
    cli::{Cli, ReferenceArgs},
    outcome::{Exit, Failure},
    printer::Printer,
};
use clap::{Command, CommandFactory as _};

/// Writes `cli.md` and one `*.schema.json` per format.
pub fn run(args: &ReferenceArgs, printer: Printer) -> Result<Exit, Failure> {
    let write = |name: &str, text: String| {
        fs_err::write(args.dir.join(name), text).map_err(|e| Failure::input("io", e))
    };
    fs_err::create_dir_all(&args.dir).map_err(|e| Failure::input("io", e))?;
    write("cli.md", cli_reference())?;
    let guard = ("guard-config.schema.json", stillwatch_guard::GuardConfig::json_schema());
    let all = stillwatch_evidence::schemas().into_iter().chain([guard]);
    #[cfg(feature = "scan")]
    let all = all.chain([("scan-result.schema.json", stillwatch_scan::result_schema())]);
    for (name, schema) in all {
        let text = serde_json::to_string_pretty(&schema)
            .map_err(|e| Failure::new(Exit::Internal, "schema", e))?;
        write(name, text + "\n")?;
    }
    printer.talk(&format!("wrote {}", args.dir.display()));
    Ok(Exit::Clean)
}

fn cli_reference() -> String {
    let mut root = Cli::command().term_width(100);
    root.build();
    let mut text = String::from(
        "# Command line\n\nGenerated from the code by `cargo xtask gen`; don't edit by hand.\n",
    );
    describe(&mut root, &mut text);
    text
}

/// One section per verb, hidden ones left out.
fn describe(command: &mut Command, text: &mut String) {
    let name = command.get_bin_name().unwrap_or(command.get_name()).to_owned();
    let help = command.render_long_help().to_string();
    let help: Vec<&str> = help.lines().map(str::trim_end).collect();
    let help = help.join("\n");
    text.extend(["\n## `", &name, "`\n\n```text\n", help.trim_end(), "\n```\n"]);
    for sub in command.get_subcommands_mut() {
        if !sub.is_hide_set() && sub.get_name() != "help" {
            describe(sub, text);
        }
    }
}
