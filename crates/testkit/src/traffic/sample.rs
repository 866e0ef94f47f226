//! The replay that is shipped as a sample log.

use super::{Class, Kind, Label, Replay, ReplayParams, Style};
use std::io::{self, Write};

/// What the sample log holds: a week of a small service with three campaigns in it.
pub fn sample() -> ReplayParams {
    ReplayParams {
        seed: 20_260_907,
        days: 7,
        ordinary: 100,
        per_class: 6,
        classes: vec![
            Class::RagApplication,
            Class::OfficeSharedPrompt,
            Class::ClassHomework,
            Class::SupportBot,
            Class::IdePlugin,
            Class::ContentMill,
        ],
        per_campaign: 14,
        requests_per_account: 25,
        campaigns: vec![
            (Kind::ChainOfThought, Style::A),
            (Kind::TemplateVariants, Style::B),
            (Kind::RoundRobin, Style::A),
        ],
    }
}

/// Writes a replay as a log of JSON lines.
///
/// # Errors
/// Those of the writer.
pub fn write_log(params: &ReplayParams, mut to: impl Write) -> io::Result<()> {
    for exchange in Replay::new(params) {
        serde_json::to_writer(&mut to, &exchange)?;
        to.write_all(b"\n")?;
    }
    to.flush()
}

/// Writes what each account really is, as CSV: `account,class,instance`.
///
/// # Errors
/// Those of the writer.
pub fn write_labels(params: &ReplayParams, mut to: impl Write) -> io::Result<()> {
    writeln!(to, "account,class,instance")?;
    for (account, label) in Replay::new(params).labels() {
        match label {
            Label::Ordinary => writeln!(to, "{account},ordinary,0"),
            Label::Negative(class, i) => writeln!(to, "{account},{},{i}", class.name()),
            Label::Campaign(kind, style, id) => {
                writeln!(to, "{account},campaign {style}: {},{id}", kind.name())
            }
        }?;
    }
    to.flush()
}
