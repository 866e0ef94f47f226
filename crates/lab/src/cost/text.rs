//! The answer in a terminal: figures, two charts in characters, the answer in two parts, sources.

use super::answer::rate_words;
use super::number::{
    count_range, dollar_range, dollars, per_cent, per_cent_range, scientific, suffixed,
};
use super::{Band, CostReport, DollarRow};

/// Characters of a chart's scale.
const SCALE: usize = 50;
/// Characters of a row's label.
const LABEL: usize = 50;
/// Ends of the dollar chart, powers of ten.
pub(super) const DECADES: (f64, f64) = (3.0, 10.0);

/// The whole answer as text of at most 100 columns, but for sources.
pub fn in_words(report: &CostReport) -> String {
    let mut lines = vec![format!("{} on {}", report.model, report.gpu), String::new()];
    lines.extend(facts(report));
    lines.push(String::new());
    let headings = [
        "1. What the claim covers, and whether it is plausible",
        "2. What it leaves out, and what buying it from an API would have cost",
    ];
    for (heading, paragraph) in headings.iter().zip(&report.answer) {
        lines.push((*heading).to_owned());
        lines.extend(wrap(paragraph, 96).into_iter().map(|line| format!("   {line}")));
        lines.push(String::new());
    }
    lines.extend(mfu_chart(report));
    lines.extend(dollar_chart(&report.dollars));
    for (heading, items) in [("covered", &report.covers), ("left out", &report.leaves_out)] {
        if !items.is_empty() {
            lines.push(format!("{heading}:"));
            lines.extend(items.iter().map(|item| format!("  - {item}")));
        }
    }
    lines.push(String::new());
    lines.push("figures and sources (kind is 'published' unless it says otherwise):".to_owned());
    for (key, source) in &report.sources {
        let names: Vec<String> = report
            .figures
            .iter()
            .filter(|f| &f.figure.source == key)
            .map(|f| {
                let kind = f.figure.kind.word();
                let kind = if kind == "published" { String::new() } else { format!(" ({kind})") };
                format!("{} {}{kind}", f.name, plain(f.figure.value))
            })
            .collect();
        lines.push(format!("  {}: {}", source.date, source.title));
        lines.push(format!("    {}", source.url));
        lines.extend(wrap(&names.join(", "), 92).into_iter().map(|line| format!("    {line}")));
    }
    lines.join("\n")
}

fn plain(value: f64) -> String {
    if value >= 1e18 { scientific(value) } else { suffixed(value, 4) }
}

fn facts(report: &CostReport) -> Vec<String> {
    let mut lines = Vec::new();
    let mut line = |name: &str, text: String| lines.push(format!("  {name:<12} {text}"));
    if let Some(compute) = &report.compute {
        let name = if compute.is_6nd { "6·N·D" } else { "quoted" };
        let attention = compute.flop_attention.map_or(String::new(), |a| {
            format!(
                "; with attention {} ({:+.0}%)",
                scientific(compute.flop + a),
                a / compute.flop * 100.0
            )
        });
        line("operations", format!("{name} = {} FLOP{attention}", scientific(compute.flop)));
    }
    if let Some(claim) = &report.claim {
        if let Some(share) = claim.needed_mfu_bf16 {
            let fp8 =
                claim.needed_mfu_fp8.map_or(String::new(), |s| format!(", {} of FP8", per_cent(s)));
            let attention = claim
                .needed_mfu_bf16_with_attention
                .map_or(String::new(), |s| format!(" ({} with attention)", per_cent(s)));
            let band = claim.band.map_or("", Band::word);
            line("needed MFU", format!("{} of BF16{attention}{fp8}: {band}", per_cent(share)));
        }
        let hours = claim.gpu_hours.map(|h| format!("{} GPU-hours", suffixed(h, 4)));
        let usd = claim.usd.map(dollars);
        let said: Vec<String> = hours.into_iter().chain(usd).collect();
        line("stated", said.join(", "));
        if let (Some(usd), Some(again)) = (claim.usd, claim.usd_recomputed)
            && claim.rate.is_some()
        {
            let off = again / usd - 1.0;
            let word = if off.abs() <= 0.01 {
                "agrees with what is stated".to_owned()
            } else {
                format!("{:+.0}% off what is stated", off * 100.0)
            };
            line("hours · rate", format!("{}: {word}", dollars(again)));
        }
    }
    if let Some(e) = &report.estimate {
        let basis = format!(
            "MFU {} of {}, {} an hour",
            per_cent_range(e.mfu),
            e.precision.word(),
            rate_words(e.rate)
        );
        let days = e.days.map_or(String::new(), |d| format!(", {} days", count_range(d)));
        line(
            "by formula",
            format!(
                "{} GPU-hours, {}{days}\n               ({basis})",
                count_range(e.gpu_hours),
                dollar_range(e.usd)
            ),
        );
    }
    lines
}

fn mfu_chart(report: &CostReport) -> Vec<String> {
    let Some(share) = report.claim.as_ref().and_then(|c| c.needed_mfu_bf16) else {
        return Vec::new();
    };
    let mut scale = String::new();
    for i in 0..SCALE {
        let here = (i as f64 + 0.5) / SCALE as f64;
        scale.push(match Band::of(here) {
            Band::Slack => '·',
            Band::Plausible => '=',
            Band::Record => '+',
            Band::Implausible => 'x',
        });
    }
    let at = position(share);
    vec![
        "needed share of the BF16 peak (· slack to 15%, = plausible to 45%, + record to 60%, x beyond)"
            .to_owned(),
        format!("  0% {scale} 100%"),
        format!("     {}^ {}", " ".repeat(at), per_cent(share)),
        String::new(),
    ]
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "clamped into the scale"
)]
fn position(share: f64) -> usize {
    (share.clamp(0.0, 1.0) * (SCALE as f64 - 1.0)).round() as usize
}

/// Where dollars lie on the logarithmic scale, 0 to 1.
pub(super) fn on_scale(usd: f64) -> f64 {
    ((usd.max(1.0).log10() - DECADES.0) / (DECADES.1 - DECADES.0)).clamp(0.0, 1.0)
}

fn dollar_chart(rows: &[DollarRow]) -> Vec<String> {
    if rows.is_empty() {
        return Vec::new();
    }
    let mut ruler = vec![' '; SCALE + 6];
    for (decade, text) in [
        (3, "$1K"),
        (4, "$10K"),
        (5, "$100K"),
        (6, "$1M"),
        (7, "$10M"),
        (8, "$100M"),
        (9, "$1B"),
        (10, "$10B"),
    ] {
        let at = position(on_scale(10f64.powi(decade)));
        for (i, c) in text.chars().enumerate() {
            if let Some(cell) = ruler.get_mut(at + i) {
                *cell = c;
            }
        }
    }
    let ruler: String = ruler.into_iter().collect();
    let mut lines = vec![format!("{:<LABEL$} {}", "dollars, each decade alike", ruler.trim_end())];
    for row in rows {
        let (low, high) = (position(on_scale(row.usd.low)), position(on_scale(row.usd.high)));
        let bar: String = (0..SCALE)
            .map(|i| if (low..=high).contains(&i) { mark(row.group) } else { '·' })
            .collect();
        let what: String = row.what.chars().take(LABEL).collect();
        lines.push(format!("{what:<LABEL$} {bar} {}", dollar_range(row.usd)));
        if let Some(note) = &row.note {
            lines.push(format!("    ({note})"));
        }
    }
    lines.push(
        "(C claimed or stated, # computed, o other readings, h buying from an API)".to_owned(),
    );
    lines.push(String::new());
    lines
}

fn mark(group: &str) -> char {
    match group {
        "claim" => 'C',
        "computed" => '#',
        "other_reading" => 'o',
        _ => 'h',
    }
}

/// Breaks at spaces.
fn wrap(text: &str, width: usize) -> Vec<String> {
    let mut lines = Vec::new();
    let mut line = String::new();
    for word in text.split_whitespace() {
        if !line.is_empty() && line.chars().count() + 1 + word.chars().count() > width {
            lines.push(std::mem::take(&mut line));
        }
        if !line.is_empty() {
            line.push(' ');
        }
        line.push_str(word);
    }
    if !line.is_empty() {
        lines.push(line);
    }
    lines
}
