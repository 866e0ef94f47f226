//! Opening suspect, references and placebos: keys from the environment, one budget for all.

use crate::{
    cli::AuditArgs,
    outcome::{Exit, Failure},
};
use std::collections::BTreeMap;
use stillwatch_audit::{AuditContext, Role, ScoreKind, score_kind};
use stillwatch_evidence::Predates;
use stillwatch_models::{
    Budget, Meter, Model, ModelError, ModelSpec, OpenOptions, Prices, Secret, open,
};

/// Where the suspect's key is looked for unless told otherwise.
const KEY_ENV: &str = "OPENAI_API_KEY";

/// An open model with the string that named it.
pub(super) struct Opened {
    pub(super) spec: String,
    pub(super) is_placebo: bool,
    pub(super) model: Box<dyn Model>,
}

/// All models of an audit.
pub(super) struct OpenedModels {
    pub(super) suspect: Option<Opened>,
    pub(super) others: Vec<Opened>,
}

impl OpenedModels {
    /// Whether the models are shown the texts themselves, not only the prompts.
    pub(super) fn sees_texts(&self, context: &AuditContext) -> bool {
        self.suspect
            .as_ref()
            .is_some_and(|s| score_kind(s.model.as_ref(), context) != ScoreKind::Similarity)
    }
}

/// For scores made elsewhere `--reference` and `--placebo` name columns, not models.
pub(super) fn roles_of_columns(args: &AuditArgs) -> BTreeMap<String, Role> {
    let reference = Role::Reference { predates: declared(args) };
    let references = args.reference.iter().map(|name| (name.clone(), reference));
    let placebos = args.placebo.iter().map(|name| (name.clone(), Role::Placebo));
    references.chain(placebos).collect()
}

/// What the flags say of the references' age.
pub(super) fn declared(args: &AuditArgs) -> Predates {
    if args.references_predate { Predates::Declared } else { Predates::Unknown }
}

/// Opens every model; for `--scores` there is nothing to open.
pub(super) fn open_all(args: &AuditArgs) -> Result<OpenedModels, Failure> {
    let Some(suspect) = &args.suspect else {
        return Ok(OpenedModels { suspect: None, others: Vec::new() });
    };
    let budget = budget(args);
    let meter = Meter::new(&budget).map_err(|e| Failure::input("budget", e))?;
    let options = |key_env: &Option<String>| {
        Ok::<_, Failure>(OpenOptions {
            threads: args.threads.unwrap_or(0),
            api_key: key(key_env.as_deref())?,
            budget,
            meter: Some(meter.clone()),
            concurrency: args.concurrency,
            timeout_ms: args.timeout_ms,
            attempts: args.attempts,
            seed: args.seed,
            ..OpenOptions::default()
        })
    };
    let suspects = options(&args.suspect_key_env)?;
    let others_options = options(&args.reference_key_env)?;
    let suspect = open_one(suspect, false, args, &suspects)?;
    let references = args.reference.iter().map(|spec| (spec, false));
    let placebos = args.placebo.iter().map(|spec| (spec, true));
    let others = references
        .chain(placebos)
        .map(|(spec, is_placebo)| open_one(spec, is_placebo, args, &others_options))
        .collect::<Result<_, _>>()?;
    Ok(OpenedModels { suspect: Some(suspect), others })
}

fn open_one(
    spec: &str,
    is_placebo: bool,
    args: &AuditArgs,
    options: &OpenOptions,
) -> Result<Opened, Failure> {
    let parsed: ModelSpec = spec.parse().map_err(|e| {
        Failure::input("model", e)
            .hint("for instance gguf:model.gguf, hf:folder or openai:http://127.0.0.1:8080/v1#name")
    })?;
    if is_outside(&parsed) && !args.disclose {
        return Err(Failure::input(
            "disclose",
            format!(
                "{spec} lies outside this machine, and an audit shows it every prompt and, unless \
                 by similarity, both texts of every pair"
            ),
        )
        .hint("add --disclose if they may be sent there; texts that were sent are spent"));
    }
    let model = open(&parsed, options).map_err(|e| {
        let message = format!("{spec}: {e}");
        failure(message, &e)
    })?;
    Ok(Opened { spec: spec.to_owned(), is_placebo, model })
}

/// Whether asking this model sends texts to another machine.
pub(super) fn is_outside(spec: &ModelSpec) -> bool {
    let ModelSpec::OpenAi { base_url, .. } = spec else { return false };
    let rest = base_url.split_once("://").map_or(base_url.as_str(), |(_, rest)| rest);
    let authority = rest.split(['/', '?']).next().unwrap_or_default();
    let host = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
    let host = match host.strip_prefix('[') {
        Some(v6) => v6.split(']').next().unwrap_or_default(),
        None => host.split(':').next().unwrap_or_default(),
    };
    let loopback = host.parse::<std::net::IpAddr>().is_ok_and(|ip| ip.is_loopback());
    !(loopback || host.eq_ignore_ascii_case("localhost"))
}

fn budget(args: &AuditArgs) -> Budget {
    Budget {
        requests: args.max_requests,
        tokens: args.max_tokens,
        usd: args.max_usd,
        prices: args
            .usd_per_million_tokens
            .map(|usd| Prices { input_usd_per_million: usd, output_usd_per_million: usd }),
    }
}

/// The key in the named variable; a variable that was named but isn't set is an error.
fn key(name: Option<&str>) -> Result<Option<Secret>, Failure> {
    let value = std::env::var_os(name.unwrap_or(KEY_ENV));
    let key = value.and_then(|v| v.into_string().ok()).and_then(Secret::new);
    match (key, name) {
        (None, Some(name)) => Err(Failure::input(
            "key",
            format!("the environment variable {name} is not set or empty"),
        )
        .hint("export the key under that name; keys are read from the environment only")),
        (key, _) => Ok(key),
    }
}

/// What a model's error means for the shell.
pub(super) fn failure(message: String, error: &ModelError) -> Failure {
    match error {
        ModelError::Unusable { hint, .. } => Failure::input("model", message).hint(hint),
        ModelError::Lost(_) => Failure::new(Exit::Partial, "endpoint_lost", message)
            .hint("run the same command again: it resumes from the case folder's cache"),
        ModelError::Budget(_) => Failure::new(Exit::Partial, "budget_spent", message)
            .hint("raise the limit and run the same command again: it resumes"),
        _ => Failure::input("model", message),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_loopback_is_inside() {
        let cases = [
            ("openai:http://127.0.0.1:8080/v1#m", false),
            ("openai:http://localhost/v1#m", false),
            ("openai:http://[::1]:9/v1#m", false),
            ("openai:https://api.example.com/v1#m", true),
            ("openai:http://localhost.example.com/v1#m", true),
            ("openai:http://user@10.0.0.1:80/v1#m", true),
            ("openai:http://127.0.0.1@example.com/v1#m", true),
            ("gguf:a.gguf", false),
            ("hf:folder", false),
        ];
        for (spec, outside) in cases {
            assert_eq!(is_outside(&spec.parse().expect("a model string")), outside, "{spec}");
        }
    }
}
