//! The arithmetic: operations, hours, money, and the utilisation that a claim needs.

use super::harvest::harvest;
use super::number::{
    count_range, dollar_range, dollars, per_cent, per_cent_range, scientific, suffixed, trimmed,
};
use super::question::peak;
use super::registry::{Figure, Registry, Source};
use super::{Band, CostError, Harvest, Precision, Question};
use serde::Serialize;
use std::collections::BTreeMap;

/// Two ends.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Range {
    /// At least.
    pub low: f64,
    /// At most.
    pub high: f64,
}

/// Operations of the training.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Compute {
    /// 6·N·D, or the figure that is quoted where N and D are unknown.
    pub flop: f64,
    /// Whether `flop` is 6·N·D.
    pub is_6nd: bool,
    /// Attention scores, causal, if the shape is known: 6·L·d·s·D on top.
    pub flop_attention: Option<f64>,
}

/// What the training takes at ordinary utilisation and rent.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Estimate {
    /// Utilisation assumed, shares of the peak.
    pub mfu: Range,
    /// What it is a share of.
    pub precision: Precision,
    /// Dollars per GPU-hour assumed.
    pub rate: Range,
    /// GPU-hours.
    pub gpu_hours: Range,
    /// Dollars.
    pub usd: Range,
    /// Days on the cluster, if its size is known.
    pub days: Option<Range>,
}

/// What is claimed, and what it needs.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Claim {
    /// GPU-hours claimed in all.
    pub gpu_hours: Option<f64>,
    /// GPU-hours that `needed_mfu` is computed from.
    pub gpu_hours_counted: Option<f64>,
    /// Dollars per GPU-hour of the claim.
    pub rate: Option<f64>,
    /// Dollars claimed.
    pub usd: Option<f64>,
    /// GPU-hours times the claim's rate, if both are known.
    pub usd_recomputed: Option<f64>,
    /// GPU-hours at the assumed range of rents.
    pub usd_at_rates: Option<Range>,
    /// Share of the BF16 peak that the claim needs.
    pub needed_mfu_bf16: Option<f64>,
    /// The same of the FP8 peak, if the chip has one.
    pub needed_mfu_fp8: Option<f64>,
    /// Of BF16, with the attention term.
    pub needed_mfu_bf16_with_attention: Option<f64>,
    /// The band of `needed_mfu_bf16`.
    pub band: Option<Band>,
}

/// Dollars of one kind, for chart and table.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct DollarRow {
    /// What they pay for.
    pub what: String,
    /// How many.
    pub usd: Range,
    /// claim, computed, other_reading, harvest.
    pub group: &'static str,
    /// What to know about it.
    pub note: Option<String>,
}

/// A figure that was used.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct UsedFigure {
    /// Which.
    pub name: &'static str,
    /// Its number.
    #[serde(flatten)]
    pub figure: Figure,
}

/// The whole answer.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct CostReport {
    /// Format of this report.
    pub schema: &'static str,
    /// Name of the model.
    pub model: String,
    /// The GPU.
    pub gpu: String,
    /// Dense peaks, TFLOP/s, by precision.
    pub peak_tflops: BTreeMap<&'static str, f64>,
    /// Operations, where they can be counted.
    pub compute: Option<Compute>,
    /// What it takes at ordinary utilisation and rent.
    pub estimate: Option<Estimate>,
    /// What is claimed.
    pub claim: Option<Claim>,
    /// The two-part answer.
    pub answer: Vec<String>,
    /// What the claim covers.
    pub covers: Vec<String>,
    /// What it leaves out.
    pub leaves_out: Vec<String>,
    /// Every dollar figure, one row each.
    pub dollars: Vec<DollarRow>,
    /// The distillation alternative.
    pub harvest: Harvest,
    /// Figures of the registry that were used, with their sources.
    pub figures: Vec<UsedFigure>,
    /// The sources by key.
    pub sources: BTreeMap<String, Source>,
}

const SECONDS_PER_HOUR: f64 = 3600.0;

/// GPU-hours and dollars for so many operations, over the question's ranges.
pub(super) fn gpu_money(question: &Question, flop: Range) -> (Range, Range) {
    let hours = |flop: f64, mfu: f64| flop / (question.peak * mfu * SECONDS_PER_HOUR);
    let hours =
        Range { low: hours(flop.low, question.mfu.high), high: hours(flop.high, question.mfu.low) };
    let usd = Range { low: hours.low * question.rate.low, high: hours.high * question.rate.high };
    (hours, usd)
}

/// Answers.
///
/// # Errors
/// [`CostError::Impossible`] where the claim needs more than the whole peak.
pub fn answer(question: &Question, registry: &Registry) -> Result<CostReport, CostError> {
    let compute = question.flop.map(|flop| Compute {
        flop,
        is_6nd: question.params_active.is_some() && question.tokens.is_some(),
        flop_attention: question.flop_attention,
    });
    let estimate = compute.as_ref().map(|c| {
        let (gpu_hours, usd) = gpu_money(question, Range { low: c.flop, high: c.flop });
        Estimate {
            mfu: question.mfu,
            precision: question.precision,
            rate: question.rate,
            gpu_hours,
            usd,
            days: question
                .gpus
                .map(|n| Range { low: gpu_hours.low / n / 24.0, high: gpu_hours.high / n / 24.0 }),
        }
    });
    let claim = claim(question)?;
    let harvest = harvest(question, registry)?;
    let known = question.known.as_ref();
    let mut report = CostReport {
        schema: "stillwatch/cost/1",
        model: known.map_or_else(|| "a model of your figures".to_owned(), |m| m.label.clone()),
        gpu: question.gpu.label.clone(),
        peak_tflops: peaks(question),
        compute,
        estimate,
        claim,
        answer: Vec::new(),
        covers: known.map(|m| m.covers.clone()).unwrap_or_default(),
        leaves_out: known.map_or_else(general_gaps, |m| m.leaves_out.clone()),
        dollars: Vec::new(),
        harvest,
        figures: figures(question, registry)?,
        sources: BTreeMap::new(),
    };
    report.dollars = rows(question, &report);
    report.answer = vec![first(question, &report), second(question, &report)];
    let used = report.figures.iter().map(|f| &f.figure.source);
    report.sources =
        used.filter_map(|key| registry.source.get(key).map(|s| (key.clone(), s.clone()))).collect();
    Ok(report)
}

fn general_gaps() -> Vec<String> {
    [
        "research, ablations and failed runs before the final one",
        "work after pre-training",
        "salaries",
        "data: buying, collecting, cleaning",
        "the machines, where they are owned and not rented",
    ]
    .map(str::to_owned)
    .to_vec()
}

fn peaks(question: &Question) -> BTreeMap<&'static str, f64> {
    [Precision::Bf16, Precision::Fp8]
        .into_iter()
        .filter_map(|p| Some((p.word(), peak(&question.gpu, p).ok()? / 1e12)))
        .collect()
}

fn claim(question: &Question) -> Result<Option<Claim>, CostError> {
    if question.gpu_hours.is_none() && question.usd.is_none() {
        return Ok(None);
    }
    let rate = question.claim_rate.or_else(|| {
        (question.rate.low.to_bits() == question.rate.high.to_bits()).then_some(question.rate.low)
    });
    let gpu_hours =
        question.gpu_hours.or_else(|| question.usd.zip(rate).map(|(usd, rate)| usd / rate));
    let counted = question.pretrain_gpu_hours.or(gpu_hours);
    let needed = |precision: Precision, flop: Option<f64>| -> Option<f64> {
        let peak = peak(&question.gpu, precision).ok()?;
        Some(flop? / (counted? * SECONDS_PER_HOUR * peak))
    };
    let bf16 = needed(Precision::Bf16, question.flop);
    let fp8 = needed(Precision::Fp8, question.flop);
    // A chip with an FP8 peak may have used it; only beyond that is a claim impossible.
    let (least, precision) = fp8.map_or((bf16, Precision::Bf16), |_| (fp8, Precision::Fp8));
    if least.is_some_and(|share| share > 1.0) {
        return Err(CostError::Impossible {
            gpu: question.gpu.label.clone(),
            precision: precision.word(),
        });
    }
    let with_attention = question.flop.zip(question.flop_attention).map(|(a, b)| a + b);
    Ok(Some(Claim {
        gpu_hours,
        gpu_hours_counted: counted,
        rate,
        usd: question.usd,
        usd_recomputed: question.gpu_hours.zip(rate).map(|(hours, rate)| hours * rate),
        usd_at_rates: gpu_hours.map(|hours| Range {
            low: hours * question.rate.low,
            high: hours * question.rate.high,
        }),
        needed_mfu_bf16: bf16,
        needed_mfu_fp8: fp8,
        needed_mfu_bf16_with_attention: needed(Precision::Bf16, with_attention),
        band: bf16.map(Band::of),
    }))
}

fn rows(question: &Question, report: &CostReport) -> Vec<DollarRow> {
    let row = |what: String, usd: Range, group, note| DollarRow { what, usd, group, note };
    let mut rows = Vec::new();
    let claimed = question.known.as_ref().and_then(|m| m.usd.as_ref());
    if let Some(usd) = report.claim.as_ref().and_then(|c| c.usd) {
        let label = claimed.map_or("claimed".to_owned(), |f| match f.kind {
            super::registry::Kind::Published => "claimed".to_owned(),
            kind => kind.word().to_owned(),
        });
        rows.push(row(label, Range { low: usd, high: usd }, "claim", None));
    }
    if let Some(usd) = report.claim.as_ref().and_then(|c| c.usd_at_rates) {
        let what = format!("stated GPU-hours at {}/h", rate_words(question.rate));
        rows.push(row(what, usd, "computed", None));
    }
    if let Some(e) = &report.estimate {
        let what = format!("6ND at MFU {}, {}/h", per_cent_range(e.mfu), rate_words(e.rate));
        rows.push(row(what, e.usd, "computed", None));
    }
    for other in question.known.iter().flat_map(|m| &m.other_reading) {
        let usd = Range { low: other.usd.value, high: other.usd.value };
        let what = format!("{} ({})", other.what, other.usd.kind.word());
        rows.push(row(what, usd, "other_reading", other.usd.note.clone()));
    }
    for fetched in &report.harvest.answers {
        let what = format!("{} answers of {}", suffixed(report.harvest.prompts, 3), fetched.label);
        rows.push(row(what, fetched.usd, "harvest", fetched.caveat.clone()));
    }
    if let Some(usd) = report.harvest.sft_usd {
        rows.push(row("fine-tuning on them".to_owned(), usd, "harvest", None));
    }
    for fetched in &report.harvest.whole_diet {
        let what = format!("the whole diet written by {}", fetched.label);
        rows.push(row(what, fetched.usd, "harvest", None));
    }
    rows
}

pub(super) fn rate_words(rate: Range) -> String {
    let (low, high) = (trimmed(rate.low, 3), trimmed(rate.high, 3));
    if low == high { format!("${low}") } else { format!("${low} to ${high}") }
}

/// What the claim covers, and whether it is plausible.
fn first(question: &Question, report: &CostReport) -> String {
    let mut parts = Vec::new();
    if let Some(claim) = &report.claim {
        if question.is_hearsay() {
            parts.push("this is rumour or estimate, not published by who trained it".to_owned());
        }
        let stated = |usd: f64| match (claim.gpu_hours, claim.rate) {
            (Some(hours), Some(rate)) if (hours * rate / usd - 1.0).abs() > 0.01 => format!(
                "{} is told, beside {} GPU-hours of {} at ${} an hour, which make {}",
                dollars(usd),
                suffixed(hours, 4),
                question.gpu.label,
                trimmed(rate, 3),
                dollars(hours * rate)
            ),
            (Some(hours), Some(rate)) => format!(
                "{} is {} GPU-hours of {} at ${} an hour",
                dollars(usd),
                suffixed(hours, 4),
                question.gpu.label,
                trimmed(rate, 3)
            ),
            _ => format!("{} is stated, without GPU-hours or a rate to check it by", dollars(usd)),
        };
        if let Some(usd) = claim.usd {
            parts.push(stated(usd));
        } else if let Some(hours) = claim.gpu_hours {
            parts.push(format!(
                "{} GPU-hours of {} are stated",
                suffixed(hours, 4),
                question.gpu.label
            ));
        }
        if let (Some(share), Some(band)) = (claim.needed_mfu_bf16, claim.band) {
            let fp8 = claim
                .needed_mfu_fp8
                .filter(|_| question.trains_in_fp8())
                .map_or(String::new(), |s| format!(", {} of the FP8 peak", per_cent(s)));
            parts.push(format!(
                "that many operations in {} GPU-hours take {} of the BF16 peak{fp8}: {}",
                suffixed(claim.gpu_hours_counted.unwrap_or_default(), 4),
                per_cent(share),
                band_words(band)
            ));
        }
    }
    if let (Some(compute), Some(estimate)) = (&report.compute, &report.estimate) {
        let formula = if compute.is_6nd { "6·N·D" } else { "the quoted operations" };
        parts.push(format!(
            "{formula} = {} FLOP takes {} GPU-hours and {} at {} of the {} peak and {} an hour",
            scientific(compute.flop),
            count_range(estimate.gpu_hours),
            dollar_range(estimate.usd),
            per_cent_range(estimate.mfu),
            estimate.precision.word(),
            rate_words(estimate.rate)
        ));
    }
    if parts.is_empty() {
        parts.push("nothing is stated that could be checked".to_owned());
    }
    sentences(&parts)
}

fn band_words(band: Band) -> &'static str {
    match band {
        Band::Slack => "slack, more hours than well-run training needs",
        Band::Plausible => "plausible",
        Band::Record => "as good as the best that is known",
        Band::Implausible => "implausible, beyond what is known to have been reached",
    }
}

/// What it leaves out, and what an API would have charged.
fn second(question: &Question, report: &CostReport) -> String {
    let mut parts = vec![format!("The figure leaves out {}", report.leaves_out.join("; "))];
    let harvest = &report.harvest;
    let prices: Vec<String> = harvest
        .answers
        .iter()
        .map(|f| format!("{} from {}", dollar_range(f.usd), f.label))
        .collect();
    let sft = harvest
        .sft_usd
        .map_or(String::new(), |usd| format!(", and learning them {}", dollar_range(usd)));
    parts.push(format!(
        "buying {} answers of {} tokens at list prices would cost {}{sft}",
        suffixed(harvest.prompts, 3),
        count_range(harvest.answer_tokens),
        prices.join(", "),
    ));
    if !harvest.whole_diet.is_empty() {
        let prices: Vec<String> = harvest
            .whole_diet
            .iter()
            .map(|f| format!("{} from {}", dollar_range(f.usd), f.label))
            .collect();
        parts.push(format!(
            "that replaces post-training, not pre-training: as many tokens as the whole diet would cost {}",
            prices.join(", ")
        ));
    }
    if let Some(known) = &question.known
        && !known.distilled_kind.is_empty()
    {
        parts.push(known.distilled_kind.trim_end_matches('.').to_owned());
    }
    parts.push(
        "a price is no permission: whether answers may be trained on is a matter of terms"
            .to_owned(),
    );
    sentences(&parts)
}

fn sentences(parts: &[String]) -> String {
    let capital = |text: &String| {
        let mut chars = text.chars();
        chars.next().map_or_else(String::new, |c| c.to_uppercase().chain(chars).collect())
    };
    let parts: Vec<String> = parts.iter().map(capital).collect();
    format!("{}.", parts.join(". "))
}

fn figures(question: &Question, registry: &Registry) -> Result<Vec<UsedFigure>, CostError> {
    let mut used = Vec::new();
    let mut push = |name: &'static str, figure: Option<&Figure>| {
        if let Some(figure) = figure {
            used.push(UsedFigure { name, figure: figure.clone() });
        }
    };
    push("bf16_tflops", Some(&question.gpu.bf16_tflops));
    push("fp8_tflops", question.gpu.fp8_tflops.as_ref());
    if let Some(m) = &question.known {
        push("params_active", m.params_active.as_ref());
        push("params_total", m.params_total.as_ref());
        push("tokens", m.tokens.as_ref());
        push("flop", m.flop.as_ref());
        push("layers", m.layers.as_ref());
        push("attention_width", m.attention_width.as_ref());
        push("context", m.context.as_ref());
        push("pretrain_gpu_hours", m.pretrain_gpu_hours.as_ref());
        push("gpu_hours", m.gpu_hours.as_ref());
        push("rate", m.rate.as_ref());
        push("usd", m.usd.as_ref());
        push("gpus", m.gpus.as_ref());
        for other in &m.other_reading {
            push("other_reading", Some(&other.usd));
        }
    }
    push("harvest_prompts", Some(&registry.harvest.prompts));
    for name in question.teachers.iter().chain(&question.pages) {
        let price = registry.price(name)?;
        push("usd_per_million_in", Some(&price.usd_in));
        push("usd_per_million_out", Some(&price.usd_out));
    }
    let mut once: Vec<UsedFigure> = Vec::with_capacity(used.len());
    for figure in used {
        if !once.contains(&figure) {
            once.push(figure);
        }
    }
    Ok(once)
}
