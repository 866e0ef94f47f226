//! Reasons in words: what was measured, what is usual, and which innocents show the same.

use crate::baseline::Baseline;
use crate::judge::{Family, Judged, Mark};
use crate::measure::Measures;
use crate::risk::Reason;
use crate::statistics::STATISTICS;

fn reason(code: &str, text: String, value: f64, baseline: f64, innocent: &str) -> Reason {
    let finite = |v: f64| if v.is_finite() { v } else { 0.0 };
    Reason {
        code: code.to_owned(),
        text,
        value: finite(value),
        baseline: finite(baseline),
        innocent: innocent.to_owned(),
    }
}

/// A share in whole per cent.
fn percent(share: f64) -> String {
    format!("{:.0}%", 100.0 * share)
}

/// The reasons of a group: families first, then marks, then what speaks against.
pub(crate) fn of_group(group: &Judged, baseline: &Baseline) -> Vec<Reason> {
    let m = &group.measures;
    let families = group.families.iter().map(|f| of_family(*f, m));
    let marks = group.marks.iter().map(|mark| of_mark(*mark, m, baseline));
    families.chain(marks).collect()
}

fn of_family(family: Family, m: &Measures) -> Reason {
    match family {
        Family::Text => reason(
            "shared_text",
            format!(
                "Half of the {} accounts have text of the group that hardly anyone else uses in at least {} of the conversations that they open.",
                m.n_members,
                percent(m.coverage)
            ),
            m.coverage,
            0.0,
            "An application, an office's system prompt, a class's homework or a prompt that went viral also put the same text into many accounts.",
        ),
        Family::Infrastructure => reason(
            "shared_infrastructure",
            format!(
                "{} of the accounts come from networks that they share and few others use ({} networks); {} use one client with the same parameters, against {} of the others.",
                percent(m.network_linked),
                m.n_linking_networks,
                percent(m.client_share),
                percent(m.client_share_outside)
            ),
            m.network_linked.max(m.client_share),
            m.client_share_outside,
            "An office, a campus or one application with many users also share networks and clients.",
        ),
        Family::Synchrony => reason(
            "synchrony",
            format!(
                "The accounts are active in the same hours: their number per hour varies {:.1} times as much as that of independent accounts.",
                m.synchrony
            ),
            m.synchrony,
            1.0,
            "Office hours, a deadline, a nightly batch or an outage elsewhere also bring people in together.",
        ),
        Family::Sharding => reason(
            "shared_work",
            format!(
                "The accounts deal out the work: {} of the prompts occur in a second account, volumes vary by {} of their mean, and neither length nor subject nor hour tells whose prompt it is.",
                percent(m.repeated_across),
                percent(m.volume_cv)
            ),
            m.repeated_across,
            1.0,
            "Workers who draw tasks from one queue (translation, annotation, a batch over several keys) also share work evenly.",
        ),
        Family::Replay => reason(
            "replayed_prompts",
            format!(
                "{} prompts were retried by a second account, after a failure or at once.",
                m.n_quick_repeats
            ),
            m.n_quick_repeats as f64,
            0.0,
            "People who work together also pass prompts on; a client with several keys fails over.",
        ),
    }
}

fn of_mark(mark: Mark, m: &Measures, baseline: &Baseline) -> Reason {
    match mark {
        Mark::Reasoning => reason(
            "asks_reasoning",
            format!(
                "{} of the prompts ask for the reasoning to be spelled out.",
                percent(m.reasoning)
            ),
            m.reasoning,
            baseline.reasoning,
            "Students and people who evaluate models ask for reasoning too.",
        ),
        Mark::NoNight => reason(
            "no_night",
            format!(
                "The quietest six hours of the day have {} of the traffic of an even spread.",
                percent(m.quiet)
            ),
            m.quiet,
            baseline.quiet,
            "Users around the world, monitoring and batch jobs have no night either.",
        ),
        Mark::ChangingNetworks => reason(
            "changing_networks",
            format!(
                "Half of the accounts came from at least {:.0} networks.",
                m.networks_per_account
            ),
            m.networks_per_account,
            baseline.networks,
            "Travellers, mobile networks and privacy services change addresses too.",
        ),
        Mark::Broad => reason(
            "broad_subjects",
            "The subjects of the group together are about as broad as those of everybody."
                .to_owned(),
            m.breadth,
            1.0,
            "Any general assistant with many users is as broad.",
        ),
        Mark::LongAnswers => reason(
            "long_answers",
            format!("Answers are {:.1} times as long as usual.", m.answers_ratio),
            m.answers_ratio,
            1.0,
            "Writers and coders want long answers too.",
        ),
        Mark::Retries => reason(
            "retries_elsewhere",
            format!(
                "{} prompts moved on to a second account soon after the first.",
                m.n_quick_repeats
            ),
            m.n_quick_repeats as f64,
            0.0,
            "A client with several keys that fails over does the same.",
        ),
        Mark::EvenVolumes => reason(
            "even_volumes",
            format!(
                "The accounts ask equally much, as if requests were dealt out: variance over mean {:.1}.",
                m.volume_dispersion
            ),
            m.volume_dispersion,
            10.0,
            "Tasks of one size, as in a class or a survey, also give even volumes.",
        ),
        Mark::NoSessions => reason(
            "no_sessions",
            format!(
                "Requests don't come in sessions: {} of the gaps are far below the mean gap.",
                percent(m.bursts)
            ),
            m.bursts,
            baseline.bursts,
            "Jobs on a timer don't come in sessions either.",
        ),
    }
}

/// The statistics in which an account stands out (rank at most 0.05), the rarest first.
pub(crate) fn of_account(
    values: &[f64; 10],
    ranks: &[f64; 10],
    medians: &[f64; 10],
) -> Vec<Reason> {
    let mut found: Vec<(f64, Reason)> = STATISTICS
        .iter()
        .zip(values.iter().zip(ranks).zip(medians))
        .filter(|(_, ((_, rank), _))| **rank <= 0.05)
        .map(|(code, ((value, rank), median))| {
            let (what, innocent) = statistic(code);
            let text = format!(
                "{what} {value:.2}; half of the comparable accounts are at or above {median:.2}."
            );
            (*rank, reason(code, text, *value, *median, innocent))
        })
        .collect();
    found.sort_by(|a, b| a.0.total_cmp(&b.0));
    found.into_iter().map(|(_, r)| r).collect()
}

fn statistic(code: &str) -> (&'static str, &'static str) {
    match code {
        "volume" => ("Requests per day:", "Any large customer asks much."),
        "novelty" => {
            ("Share of prompts that are new:", "Translators and writers never repeat themselves.")
        }
        "topics" => ("Evenness of subjects:", "Evaluation covers many subjects too."),
        "regular_lengths" => {
            ("Regularity of prompt lengths:", "Forms and plug-ins send prompts of one size.")
        }
        "template_share" => {
            ("Share of prompts in one frame:", "Every application frames its prompts.")
        }
        "asks_reasoning" => {
            ("Share of prompts that ask for reasoning:", "Students and evaluators ask for it.")
        }
        "uniform_parameters" => (
            "Share of requests with one set of parameters:",
            "Every application keeps its parameters.",
        ),
        "no_night" => ("Flatness over the day:", "Batch jobs and monitoring have no night."),
        "no_depth" => {
            ("Share of requests outside conversations:", "Translators and plug-ins don't converse.")
        }
        _ => (
            "Share of prompts that come back to no answer:",
            "Translators and plug-ins don't come back to answers.",
        ),
    }
}
