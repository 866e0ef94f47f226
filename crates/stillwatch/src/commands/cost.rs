//! `cost`: is a claimed price of training plausible, and what would buying the answers have cost?

use crate::{
    cli::cost::{CostArgs, PrecisionArg},
    outcome::{Exit, Failure},
    printer::Printer,
};
use stillwatch_lab::cost::{
    self, CostError, CostParams, Precision, Range, parse_count, parse_range, parse_share_range,
    registry::Registry,
};

/// Computes, prints, and writes the page if asked.
pub fn run(args: &CostArgs, printer: Printer) -> Result<Exit, Failure> {
    let report = Registry::shipped()
        .and_then(|registry| {
            let question = params(args)?.check(registry)?;
            cost::answer(&question, registry)
        })
        .map_err(|e| failure(&e))?;
    if let Some(path) = &args.html {
        fs_err::write(path, cost::html(&report)).map_err(|e| Failure::input("io", e))?;
        printer.talk(&format!("wrote {}", path.display()));
    }
    if printer.is_json() {
        printer.json(&report);
    } else {
        printer.out(&cost::in_words(&report));
    }
    Ok(Exit::Clean)
}

fn params(args: &CostArgs) -> Result<CostParams, CostError> {
    let count = |field: &'static str, text: &Option<String>| -> Result<Option<f64>, CostError> {
        text.as_deref().map(|text| parse_count(field, text)).transpose()
    };
    let range = |field: &'static str, text: &Option<String>| -> Result<Option<Range>, CostError> {
        text.as_deref().map(|text| parse_range(field, text)).transpose()
    };
    Ok(CostParams {
        model: args.model.clone(),
        params_active: count("--params-active", &args.params_active)?,
        params_total: count("--params-total", &args.params_total)?,
        tokens: count("--tokens", &args.tokens)?,
        layers: count("--layers", &args.layers)?,
        attention_width: count("--attention-width", &args.attention_width)?,
        context: count("--context", &args.context)?,
        gpu: args.gpu.clone(),
        precision: args.precision.map(|p| match p {
            PrecisionArg::Bf16 => Precision::Bf16,
            PrecisionArg::Fp8 => Precision::Fp8,
        }),
        mfu: args.mfu.as_deref().map(|text| parse_share_range("--mfu", text)).transpose()?,
        rate: range("--rate", &args.rate)?,
        gpus: count("--gpus", &args.gpus)?,
        gpu_hours: count("--gpu-hours", &args.gpu_hours)?,
        usd: count("--usd", &args.usd)?,
        teacher: args.teacher.clone(),
        harvest_prompts: count("--harvest-prompts", &args.harvest_prompts)?,
        harvest_tokens: range("--harvest-tokens", &args.harvest_tokens)?,
        student_params: count("--student-params", &args.student_params)?,
    })
}

fn failure(error: &CostError) -> Failure {
    match error {
        CostError::Registry(_) => Failure::new(Exit::Internal, "registry", error),
        CostError::Unknown { .. } => Failure::input("unknown", error),
        CostError::Impossible { .. } | CostError::MoreActiveThanTotal => {
            Failure::input("impossible", error)
        }
        _ => Failure::input("usage", error),
    }
}
