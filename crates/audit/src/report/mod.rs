//! The report: one self-contained HTML file, no script, nothing from the network.
//!
//! It shows what [`crate::evaluate_with_series`] found, with drawings made here. Colours have
//! at least AA contrast in light, dark and print; every drawing has a title and a description.
//! Texts appear only where the caller hands them in.

mod chart;
mod court;
mod page;
mod plots;
mod tables;

use crate::{AuditContext, AuditParams, series::Evaluation};

/// A released text with its withheld siblings, to be printed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ShownTexts {
    /// The exposure.
    pub id: String,
    /// The text that went out.
    pub released: String,
    /// The texts that did not.
    pub withheld: Vec<String>,
}

/// An input file with its hash.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HashedInput {
    /// What it is and its name.
    pub name: String,
    /// SHA-256, hexadecimal.
    pub sha256: String,
}

/// Everything that a report shows.
#[derive(Debug, Clone, Copy)]
pub struct ReportInput<'a> {
    /// What was found.
    pub evaluation: &'a Evaluation,
    /// What is known of the case.
    pub context: &'a AuditContext,
    /// What was fixed beforehand.
    pub params: &'a AuditParams,
    /// The question in one sentence.
    pub question: &'a str,
    /// When the report was made, RFC 3339.
    pub made: &'a str,
    /// Inputs and models with their hashes.
    pub inputs: &'a [HashedInput],
    /// What was committed, and when: (time, what), oldest first.
    pub timeline: &'a [(String, String)],
    /// Commands that repeat the audit.
    pub commands: &'a [String],
    /// Texts, only where the caller wants them shown.
    pub texts: &'a [ShownTexts],
}

/// Renders the report. Same input, same bytes.
pub fn render_report(input: &ReportInput<'_>) -> String {
    page::page(input).into_string()
}
