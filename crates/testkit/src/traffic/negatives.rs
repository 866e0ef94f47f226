//! Innocents who look like campaigns: groups of people. Those of machines are in `tools`.

use super::account::{Draft, Params, Say};
use super::build::{Builder, Spec};
use super::grammar::Fill;
use super::label::{Class, Label};
use super::person::{By, Mixed, Person, item};
use super::place::{self, Network};
use super::times::{DAY, HOUR, count, hours, lognormal, minutes, seconds};
use super::tools;
use rand::Rng;
use rand::seq::IndexedRandom as _;
use rand_chacha::ChaCha8Rng;
use std::sync::Arc;

/// Adds about this many accounts of a class, in several instances.
pub(super) fn add(builder: &mut Builder<'_>, class: Class, accounts: usize) {
    let size = match class {
        Class::OfficeSharedPrompt | Class::ClassHomework => 14,
        Class::IdePlugin | Class::ScreenReader | Class::AgentLoop | Class::ViralPrompt => 20,
        Class::AnnotationSurvey => 12,
        Class::RagApplication => 10,
        Class::NightlyBatch => 8,
        Class::TranslationVendor | Class::ContentMill => 4,
        Class::EvaluationEngineer | Class::SupportBot | Class::LicensedSynthetic => 3,
        Class::PromptAbTest => 2,
    };
    let mut left = accounts;
    for instance in 0.. {
        if left == 0 {
            break;
        }
        // Firms differ in how many keys they use: a group's size tells nothing.
        let size = (size * [1, 1, 2, 4][builder.rng.random_range(0..4)]).min(left);
        left -= size;
        let label = Label::Negative(class, instance);
        match class {
            Class::OfficeSharedPrompt => office(builder, label, size),
            Class::ClassHomework => homework(builder, label, size),
            Class::IdePlugin => ide(builder, label, size),
            Class::ScreenReader => reader(builder, label, size),
            Class::AgentLoop => agents(builder, label, size),
            Class::ViralPrompt => viral(builder, label, size),
            Class::AnnotationSurvey => survey(builder, label, size),
            _ => tools::add(builder, class, label, size),
        }
    }
}

fn zone(rng: &mut ChaCha8Rng) -> i64 {
    [-8, -5, 0, 1, 1, 2, 3, 8][rng.random_range(0..8)]
}

fn chat(
    rng: &mut ChaCha8Rng,
    plan: &'static str,
    network: Network,
    script: Box<dyn super::account::Script>,
) -> Spec {
    Spec {
        plan,
        model: "chat-small",
        agent: place::browser(rng),
        network,
        params: Params::chat(),
        script,
    }
}

/// One system prompt, one address, one working day; each asks for what they need.
fn office(builder: &mut Builder<'_>, label: Label, size: usize) {
    let language = builder.language;
    let mut rng = builder.fork();
    let subject = language.any_subject(&mut rng);
    let pattern = language.pattern(&mut rng, "office_system");
    let system = language.freeze(&mut rng, pattern, subject);
    let address = place::address(&mut rng);
    let zone_h = zone(&mut rng);
    let plan = if rng.random_bool(0.5) { "enterprise" } else { "team" };
    let domains: Vec<usize> = std::iter::once(subject.domain)
        .chain((0..4).map(|_| rng.random_range(0..language.n_domains())))
        .collect();
    for _ in 0..size {
        let person = Person::new(language, &mut rng).interests(domains.clone()).system(&system);
        let n = count(&mut rng, 30.0, 0.8, 3..=300);
        let times = builder.span.office(&mut rng, n, zone_h);
        let spec = chat(&mut rng, plan, Network::Fixed(address.clone()), Box::new(person));
        builder.add(label, spec, &times);
    }
}

/// Six questions due on one evening; pasted, or told in own words; and life besides.
fn homework(builder: &mut Builder<'_>, label: Label, size: usize) {
    let language = builder.language;
    let mut rng = builder.fork();
    let domain = rng.random_range(0..language.n_domains());
    let questions: Arc<Vec<String>> = Arc::new(
        (0..6)
            .map(|_| {
                let subject = language.subject_in(&mut rng, domain);
                let pattern = language.pattern(&mut rng, "homework");
                let pattern = if rng.random_bool(0.8) {
                    language.bank("homework_sheet").first().copied().unwrap_or(pattern)
                } else {
                    pattern
                };
                let frozen = language.freeze(&mut rng, pattern, subject);
                language.expand(&mut rng, &frozen, Fill::about(subject))
            })
            .collect(),
    );
    let campus = place::address(&mut rng);
    let due = builder.span.moment(&mut rng, 2 * DAY) / DAY * DAY + 20 * HOUR;
    for _ in 0..size {
        let questions = Arc::clone(&questions);
        let own_words = rng.random_bool(0.4);
        let sheet = By(move |say: &mut Say<'_>| {
            let subject = say.language.subject_in(say.rng, domain);
            let question = questions.get(say.item as usize % 6).cloned().unwrap_or_default();
            let text = if own_words {
                let asked = item(say.language, say.rng, "ask", subject);
                format!("{asked} {}", question.split(": ").last().unwrap_or_default())
            } else {
                question
            };
            Draft::new(text, subject, 6)
        });
        let network = if rng.random_bool(0.5) {
            Network::Fixed(campus.clone())
        } else {
            place::home(&mut rng)
        };
        let script = Mixed {
            first: Box::new(sheet),
            second: Box::new(Person::new(language, &mut rng)),
            share: 0.35,
            was_second: false,
        };
        let spec = chat(&mut rng, "free", network, Box::new(script));
        let zone_h = 1;
        let n = count(&mut rng, 8.0, 0.8, 0..=80);
        let mut times = builder.span.person(&mut rng, n, zone_h);
        let mut time = due - hours(lognormal(&mut rng, 4.0, 0.9));
        for _ in 0..rng.random_range(4..14) {
            times.push(time);
            time += seconds(lognormal(&mut rng, 240.0, 0.8));
        }
        times.sort_unstable();
        builder.add(label, spec, &times);
    }
}

/// Everybody's editor sends the same system prompt and frame; the code is each one's own.
fn ide(builder: &mut Builder<'_>, label: Label, size: usize) {
    let language = builder.language;
    let mut rng = builder.fork();
    let system = language.bank("ide_system").concat();
    let user = language.bank("ide_user").concat();
    let version = rng.random_range(2..9);
    for _ in 0..size {
        let (system, user) = (system.clone(), user.clone());
        let domain = rng.random_range(0..language.n_domains());
        let script = By(move |say: &mut Say<'_>| {
            let subject = say.language.subject_in(say.rng, domain);
            let text = say.language.expand(say.rng, &user, Fill::about(subject));
            Draft { system: system.clone(), ..Draft::new(text, subject, 1) }
        });
        let zone_h = zone(&mut rng);
        let n = count(&mut rng, 80.0, 0.9, 5..=600);
        let times = builder.span.office(&mut rng, n, zone_h);
        let spec = Spec {
            plan: "plus",
            model: "code-small",
            agent: format!("editor-assist/1.{version}"),
            network: place::home(&mut rng),
            params: Params {
                temperature: Some(0.1),
                max_tokens: Some(256),
                stream: true,
                ..Params::default()
            },
            script: Box::new(script),
        };
        builder.add(label, spec, &times);
    }
}

/// Short descriptions of screens, one after the other, in sittings.
fn reader(builder: &mut Builder<'_>, label: Label, size: usize) {
    let language = builder.language;
    let mut rng = builder.fork();
    let system = language.bank("reader_system").concat();
    let user = language.bank("reader_user").concat();
    for _ in 0..size {
        let (system, user) = (system.clone(), user.clone());
        let script = By(move |say: &mut Say<'_>| {
            let subject = say.language.any_subject(say.rng);
            let text = say.language.expand(say.rng, &user, Fill::about(subject));
            Draft { system: system.clone(), ..Draft::new(text, subject, 2) }
        });
        let zone_h = zone(&mut rng);
        let sittings = rng.random_range(2..14);
        let starts = builder.span.person(&mut rng, sittings, zone_h);
        let mut times = Vec::new();
        for start in starts {
            let mut time = start;
            for _ in 0..rng.random_range(3..25) {
                times.push(time);
                time += seconds(lognormal(&mut rng, 6.0, 0.3));
            }
        }
        times.sort_unstable();
        let spec = Spec {
            plan: "free",
            model: "chat-small",
            agent: "ReadAloud/3.2".to_owned(),
            network: place::home(&mut rng),
            params: Params { temperature: Some(0.2), max_tokens: Some(120), ..Params::default() },
            script: Box::new(script),
        };
        builder.add(label, spec, &times);
    }
}

/// A well-known framework's prompt; strangers' agents that loop with growing context.
fn agents(builder: &mut Builder<'_>, label: Label, size: usize) {
    let language = builder.language;
    let mut rng = builder.fork();
    let system = language.bank("agent_system").concat();
    for _ in 0..size {
        let system = system.clone();
        let domains: Vec<usize> = (0..rng.random_range(1..6))
            .map(|_| rng.random_range(0..language.n_domains()))
            .collect();
        let mut pad = String::new();
        let mut step = 0_u32;
        let mut subject = language.any_subject(&mut rng);
        let loops = rng.random_range(4..12_u32);
        let script = By(move |say: &mut Say<'_>| {
            if step == 0 {
                let domain = domains.choose(say.rng).copied().unwrap_or_default();
                subject = say.language.subject_in(say.rng, domain);
                pad = format!("Question: {}", item(say.language, say.rng, "ask", subject));
            } else {
                pad.push('\n');
                pad.push_str(&item(say.language, say.rng, "agent_step", subject));
            }
            step = (step + 1) % loops;
            Draft { system: system.clone(), ..Draft::new(pad.clone(), subject, 2) }
        });
        let zone_h = zone(&mut rng);
        let runs = rng.random_range(1..15);
        let starts = if rng.random_bool(0.5) {
            builder.span.office(&mut rng, runs, zone_h)
        } else {
            builder.span.flat(&mut rng, runs)
        };
        let mut times = Vec::new();
        for start in starts {
            let mut time = start;
            for _ in 0..loops {
                times.push(time);
                time += seconds(lognormal(&mut rng, 5.0, 0.4));
            }
        }
        times.sort_unstable();
        let spec = Spec {
            plan: "api",
            model: "chat-large",
            agent: "langchain/0.3".to_owned(),
            network: Network::Fixed(place::cloud(&mut rng)),
            params: Params { temperature: Some(0.0), ..Params::default() },
            script: Box::new(script),
        };
        builder.add(label, spec, &times);
    }
}

/// Ordinary people who all try the same prompt in the same three days.
fn viral(builder: &mut Builder<'_>, label: Label, size: usize) {
    let language = builder.language;
    let mut rng = builder.fork();
    let subject = language.any_subject(&mut rng);
    let pattern = language.pattern(&mut rng, "viral");
    let prompt = language.freeze(&mut rng, pattern, subject);
    let start = builder.span.moment(&mut rng, 4 * DAY);
    for _ in 0..size {
        let prompt = prompt.clone();
        let mut person = Person::new(language, &mut rng);
        let tries = rng.random_range(1..4_u32);
        let script = By(move |say: &mut Say<'_>| {
            if say.item < tries {
                let subject = say.language.any_subject(say.rng);
                let text = say.language.expand(say.rng, &prompt, Fill::about(subject));
                Draft::new(text, subject, 5)
            } else {
                super::account::Script::compose(&mut person, say)
            }
        });
        let zone_h = zone(&mut rng);
        let n = count(&mut rng, 10.0, 1.0, 2..=200);
        let life = builder.span.person(&mut rng, n, zone_h);
        let network = place::home(&mut rng);
        let spec = chat(&mut rng, "free", network, Box::new(script));
        let account = builder.account(label, spec);
        let mut time = start + hours(lognormal(&mut rng, 20.0, 0.8));
        for n in 0..tries {
            builder.at(account, time, n);
            time += minutes(lognormal(&mut rng, 3.0, 0.8));
        }
        for (n, time) in (tries..).zip(life) {
            builder.at(account, time, n);
        }
    }
}

/// The same statements and replies for all raters, through one tool, each at an own pace.
fn survey(builder: &mut Builder<'_>, label: Label, size: usize) {
    let language = builder.language;
    let mut rng = builder.fork();
    let tasks: Arc<Vec<(String, super::grammar::Subject)>> = Arc::new(
        (0..60)
            .map(|_| {
                let subject = language.any_subject(&mut rng);
                let asked = item(language, &mut rng, "ask", subject);
                let fill = Fill { subject, item: &asked, quote: "" };
                let pattern = language.pattern(&mut rng, "survey");
                (language.expand(&mut rng, pattern, fill), subject)
            })
            .collect(),
    );
    let day = builder.span.moment(&mut rng, 3 * DAY) / DAY * DAY;
    for _ in 0..size {
        let tasks = Arc::clone(&tasks);
        let from = rng.random_range(0..60_u32);
        let mut fallback = language.any_subject(&mut rng);
        let script = By(move |say: &mut Say<'_>| {
            let at = (from + say.item) as usize % tasks.len().max(1);
            let (text, subject) = tasks.get(at).cloned().unwrap_or((String::new(), fallback));
            fallback = subject;
            Draft::new(text, subject, 1)
        });
        let n = rng.random_range(15..60);
        let mut time = day + hours(rng.random_range(8.0..16.0));
        let times: Vec<i64> = (0..n)
            .map(|_| {
                time += seconds(lognormal(&mut rng, 70.0, 0.6));
                time
            })
            .collect();
        let network = place::home(&mut rng);
        let mut spec = chat(&mut rng, "team", network, Box::new(script));
        spec.params.temperature = Some(0.0);
        builder.add(label, spec, &times);
    }
}
