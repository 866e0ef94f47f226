//! `serve check` and `serve example-config`: configurations, without serving.

use crate::{
    cli::serve::{CheckArgs, ExampleArgs, ExampleKind},
    outcome::{Exit, Failure},
    printer::Printer,
};
use std::{borrow::Cow, fmt::Write as _};
use stillwatch_guard::GuardConfig;

/// Reads the file, looks for the variables that it names, says what it means.
pub(super) fn check(args: &CheckArgs, printer: Printer) -> Result<Exit, Failure> {
    let config = GuardConfig::read(&args.file).map_err(|e| super::failure(&e))?;
    config.check_secrets(&super::environment(&config)).map_err(|e| super::failure(&e))?;
    if printer.is_json() {
        printer.json(&config);
        return Ok(Exit::Clean);
    }
    let mut text = format!(
        "{} can be served\nclients    {}\nadmin      {}\n",
        args.file.display(),
        config.listen.public,
        config.listen.admin
    );
    for upstream in &config.upstream {
        // Writing to a string doesn't fail.
        writeln!(text, "upstream   {} (weight {})", upstream.url, upstream.weight).ok();
    }
    writeln!(text, "exposed    {} of eligible requests", config.exposure.rate).ok();
    write!(text, "policies   {}", config.policy.len()).ok();
    printer.out(&text);
    Ok(Exit::Clean)
}

/// Prints one of the shipped examples, or every key with its default.
pub(super) fn example(args: &ExampleArgs, printer: Printer) -> Exit {
    printer.out(example_text(args.kind).trim_end());
    Exit::Clean
}

/// The text of an example; the files are those of `packaging/`.
fn example_text(kind: ExampleKind) -> Cow<'static, str> {
    Cow::Borrowed(match kind {
        ExampleKind::Vllm => include_str!("../../../../../packaging/examples/vllm.toml"),
        ExampleKind::LlamaServer => {
            include_str!("../../../../../packaging/examples/llama-server.toml")
        }
        ExampleKind::Openai => include_str!("../../../../../packaging/examples/openai.toml"),
        ExampleKind::Anthropic => include_str!("../../../../../packaging/examples/anthropic.toml"),
        ExampleKind::Everything => return Cow::Owned(GuardConfig::example_toml()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::ValueEnum as _;

    #[test]
    fn every_example_can_be_read() {
        for kind in ExampleKind::value_variants() {
            let config = GuardConfig::parse(&example_text(*kind), None);
            let config = config.unwrap_or_else(|e| panic!("{kind:?}: {e}"));
            config.check().unwrap_or_else(|e| panic!("{kind:?}: {e}"));
            let named = !config.upstream.is_empty();
            assert!(named || *kind == ExampleKind::Everything, "{kind:?} names a model's server");
        }
    }
}
