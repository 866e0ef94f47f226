//! JSON schemas of every format that leaves or enters the house, for the reference pages.

use crate::case::CaseManifest;
use crate::ledger::{Leaf, LedgerCheck, SignedHead};
use crate::plan::{Plan, SealedPlan};
use crate::{AuditResult, DemoReport, ErrorReport, Exchange, Exposure, Reject};
use schemars::{JsonSchema, SchemaGenerator, generate::SchemaSettings};
use serde_json::{Value, json};

/// (file name, schema), sorted by name; the same on every run.
pub fn schemas() -> Vec<(&'static str, Value)> {
    vec![
        ("audit-result.schema.json", schema::<AuditResult>("The result of an audit")),
        ("case.schema.json", schema::<CaseManifest>("The manifest of a case")),
        ("demo-report.schema.json", schema::<DemoReport>("The result of the demo")),
        ("error.schema.json", error_schema()),
        ("exchange.schema.json", schema::<Exchange>("One line of a log")),
        ("exposure.schema.json", schema::<Exposure>("One line of a file of exposures")),
        ("ledger-check.schema.json", schema::<LedgerCheck>("The account of a ledger range")),
        ("ledger-leaf.schema.json", schema::<Leaf>("One entry of a ledger")),
        ("plan.schema.json", schema::<Plan>("The plan of an audit")),
        ("reject.schema.json", schema::<Reject>("One line of a file of rejected lines")),
        ("score-row.schema.json", score_row_schema()),
        ("sealed-plan.schema.json", schema::<SealedPlan>("A plan with its seal")),
        ("signed-head.schema.json", schema::<SignedHead>("A signed tree head")),
    ]
}

fn schema<T: JsonSchema>(title: &str) -> Value {
    let generator: SchemaGenerator = SchemaSettings::draft2020_12().into_generator();
    let mut value = generator.into_root_schema_for::<T>().to_value();
    if let Some(object) = value.as_object_mut() {
        object.insert("title".into(), title.into());
    }
    value
}

fn error_schema() -> Value {
    let mut inner = schema::<ErrorReport>("An error");
    if let Some(object) = inner.as_object_mut() {
        object.remove("$schema");
    }
    json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "What a command with --json prints when it fails",
        "type": "object",
        "properties": { "error": inner },
        "required": ["error"],
        "additionalProperties": false,
    })
}

/// By hand, because the names of its keys hold the names of the models.
fn score_row_schema() -> Value {
    let text = |description: &str| json!({ "type": "string", "description": description });
    let nats = |description: &str| json!({ "type": "number", "description": description });
    json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "One row of scores (a line of JSON, or a row of CSV with these column names)",
        "type": "object",
        "properties": {
            "id": text("Unique name of the row in its file."),
            "account": text("Whom the released text was sent to."),
            "coin": {
                "enum": ["none", "iid", "server", "public"],
                "description": "Grade of the coin that chose the released text.",
            },
            "unit": text("Rows of one unit share one coin."),
            "k": {
                "type": "integer",
                "minimum": 1,
                "description": "Withheld texts of this row, where rows of a CSV file differ in it.",
            },
            "suspect_released": nats("Log-likelihood of the released text by the suspect, nats."),
        },
        "patternProperties": {
            "^n_tokens_(released|withheld(_[1-9][0-9]*)?)$": {
                "type": "number",
                "exclusiveMinimum": 0,
                "description": "Tokens of the text.",
            },
            "^suspect_withheld(_[1-9][0-9]*)?$":
                nats("Log-likelihood of a withheld text by the suspect, nats."),
            "^.+_(released|withheld(_[1-9][0-9]*)?)$":
                nats("The same by the reference whose name stands before the ending, nats."),
        },
        "required": ["id", "suspect_released"],
        "additionalProperties": false,
    })
}
