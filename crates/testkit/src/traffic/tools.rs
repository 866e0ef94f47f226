//! Innocents who look like campaigns: machines that firms run.

use super::account::{Draft, Params, Say, Script};
use super::build::{Builder, Spec};
use super::grammar::{Fill, Subject};
use super::label::{Class, Label};
use super::person::{By, item, template};
use super::place::{self, Network};
use super::times::{DAY, HOUR, SECOND, count, hours};
use rand::Rng;
use rand::SeedableRng;
use rand::seq::IndexedRandom as _;
use rand_chacha::ChaCha8Rng;
use std::sync::Arc;

/// Public question sets that evaluators use everywhere, and harvesters too.
pub(super) const PUBLIC_ITEMS: u64 = 240;

/// A public question: the same for everybody who asks for its number, in whatever replay.
pub(super) fn public_item(language: &super::grammar::Language, number: u64) -> (String, Subject) {
    let mut rng = ChaCha8Rng::seed_from_u64(0x5eed_0000 + number % PUBLIC_ITEMS);
    let subject = language.any_subject(&mut rng);
    (item(language, &mut rng, "bank_benchmark", subject), subject)
}

/// Adds one instance.
pub(super) fn add(builder: &mut Builder<'_>, class: Class, label: Label, size: usize) {
    match class {
        Class::RagApplication => rag(builder, label, size),
        Class::EvaluationEngineer => evaluation(builder, label, size),
        Class::TranslationVendor => translation(builder, label, size),
        Class::SupportBot => support(builder, label, size),
        Class::LicensedSynthetic => licensed(builder, label, size),
        Class::PromptAbTest => ab_test(builder, label, size),
        Class::ContentMill => mill(builder, label, size),
        _ => nightly(builder, label, size),
    }
}

fn frozen(builder: &Builder<'_>, rng: &mut ChaCha8Rng, bank: &str, subject: Subject) -> String {
    let pattern = builder.language.pattern(rng, bank);
    builder.language.freeze(rng, pattern, subject)
}

fn machine(rng: &mut ChaCha8Rng, params: Params, script: Box<dyn Script>) -> Spec {
    Spec {
        plan: "api",
        model: "chat-small",
        agent: place::library(rng),
        network: Network::Fixed(place::cloud(rng)),
        params,
        script,
    }
}

/// One template over the documents of many tenants, a key per tenant and one for all the rest; or
/// one queue of everybody's questions, dealt out to the keys in turn to spread the load.
fn rag(builder: &mut Builder<'_>, label: Label, size: usize) {
    let mut rng = builder.fork();
    let subject = builder.language.any_subject(&mut rng);
    let system = frozen(builder, &mut rng, "rag_system", subject);
    let user = frozen(builder, &mut rng, "rag_user", subject);
    let servers: Vec<String> = (0..3).map(|_| place::cloud(&mut rng)).collect();
    let hosted = rng.random_bool(0.5);
    let agent = place::library(&mut rng);
    let plan = if rng.random_bool(0.4) { "enterprise" } else { "api" };
    let params = Params { temperature: Some(0.2), max_tokens: Some(500), ..Params::default() };
    let balanced = hosted && rng.random_bool(0.6);
    let zone_h = rng.random_range(-6..9);
    let mut members = Vec::new();
    for tenant in 0..size {
        let domains: Vec<usize> = if tenant == 0 || balanced {
            (0..builder.language.n_domains()).collect()
        } else {
            (0..rng.random_range(1..4))
                .map(|_| rng.random_range(0..builder.language.n_domains()))
                .collect()
        };
        let script = template(system.clone(), user.clone(), "ask", domains);
        let n = if tenant == 0 { 400 } else { count(&mut rng, 50.0, 1.0, 4..=500) };
        let zone_h = rng.random_range(-6..9);
        let times = if balanced {
            Vec::new()
        } else if rng.random_bool(0.6) {
            builder.span.office(&mut rng, n, zone_h)
        } else {
            builder.span.service(&mut rng, n, zone_h)
        };
        let mut spec = machine(&mut rng, params.clone(), script);
        spec.agent.clone_from(&agent);
        spec.plan = plan;
        if hosted {
            spec.network = Network::Pool(servers.clone());
        }
        members.push(builder.add(label, spec, &times));
    }
    if balanced {
        let times = builder.span.service(&mut rng, 60 * size, zone_h);
        for (turn, time) in (0..).zip(times) {
            let member = members.get(turn as usize % size.max(1)).copied().unwrap_or_default();
            if rng.random_bool(0.02) {
                builder.fails_at(member, time, turn);
                let next = members.get((turn as usize + 1) % size.max(1)).copied();
                builder.at(next.unwrap_or_default(), time + SECOND, turn);
            } else {
                builder.at(member, time, turn);
            }
        }
    }
}

/// The same sixty questions, pass after pass, for one model after the other.
fn evaluation(builder: &mut Builder<'_>, label: Label, size: usize) {
    let mut rng = builder.fork();
    let language = builder.language;
    let subject = language.any_subject(&mut rng);
    let frame = frozen(builder, &mut rng, "eval_user", subject);
    let first = rng.random_range(0..PUBLIC_ITEMS);
    let set: Arc<Vec<(String, Subject)>> = Arc::new(
        (first..first + 60)
            .map(|n| {
                let (text, subject) = public_item(language, n);
                let fill = Fill { subject, item: &text, quote: "" };
                (language.expand(&mut rng, &frame, fill), subject)
            })
            .collect(),
    );
    let address = place::cloud(&mut rng);
    for _ in 0..size {
        let set = Arc::clone(&set);
        let script = By(move |say: &mut Say<'_>| {
            let at = say.item as usize % set.len().max(1);
            let (text, subject) = set.get(at).cloned().unwrap_or((String::new(), subject));
            Draft::new(text, subject, 1)
        });
        let params = Params {
            temperature: Some(0.0),
            max_tokens: Some(16),
            logprobs: true,
            ..Params::default()
        };
        let mut spec = machine(&mut rng, params, Box::new(script));
        "lm-eval/0.4.8".clone_into(&mut spec.agent);
        spec.network = Network::Fixed(address.clone());
        let mut times = Vec::new();
        for _ in 0..rng.random_range(2..6) {
            let mut time = builder.span.moment(&mut rng, HOUR) / DAY * DAY
                + hours(rng.random_range(8.0..20.0));
            for _ in 0..60 {
                times.push(time);
                time += rng.random_range(600..1_600);
            }
        }
        times.sort_unstable();
        builder.add(label, spec, &times);
    }
}

/// A key per customer, long passages, by day or in batches.
fn translation(builder: &mut Builder<'_>, label: Label, size: usize) {
    let mut rng = builder.fork();
    let subject = builder.language.any_subject(&mut rng);
    let user = frozen(builder, &mut rng, "translation_user", subject);
    let address = place::cloud(&mut rng);
    let zone_h = rng.random_range(-6..9);
    let plan = if rng.random_bool(0.5) { "enterprise" } else { "api" };
    for _ in 0..size {
        let domain = rng.random_range(0..builder.language.n_domains());
        let script = template(String::new(), user.clone(), "ask", vec![domain]);
        let n = count(&mut rng, 120.0, 0.8, 10..=800);
        let times = if rng.random_bool(0.5) {
            builder.span.office(&mut rng, n, zone_h)
        } else {
            let hour = rng.random_range(0.0..24.0);
            builder.span.nightly(&mut rng, n, hour, 4 * SECOND)
        };
        let params =
            Params { temperature: Some(0.0), max_tokens: Some(2_048), ..Params::default() };
        let mut spec = machine(&mut rng, params, script);
        spec.plan = plan;
        spec.network = Network::Fixed(address.clone());
        builder.add(label, spec, &times);
    }
}

/// Customers at all hours, each with a short conversation.
fn support(builder: &mut Builder<'_>, label: Label, size: usize) {
    let mut rng = builder.fork();
    let language = builder.language;
    let subject = language.any_subject(&mut rng);
    let system = frozen(builder, &mut rng, "support_system", subject);
    let address = place::cloud(&mut rng);
    for _ in 0..size {
        let system = system.clone();
        let mut left = 0;
        let mut history: Vec<stillwatch_evidence::Message> = Vec::new();
        let mut about = subject;
        let script = By(move |say: &mut Say<'_>| {
            if left == 0 {
                history.clear();
                about = say.language.subject_in(say.rng, subject.domain);
                left = say.rng.random_range(1..6);
            }
            left -= 1;
            let asked = item(say.language, say.rng, "ask", about);
            let pattern = say.language.pattern(say.rng, "support_user");
            let fill = Fill { subject: about, item: &asked, quote: "" };
            let text = say.language.expand(say.rng, pattern, fill);
            let draft = Draft {
                system: system.clone(),
                history: history.clone(),
                ..Draft::new(text.clone(), about, 3)
            };
            history.push(stillwatch_evidence::Message { role: "user".to_owned(), content: text });
            draft
        });
        let n = count(&mut rng, 250.0, 0.6, 30..=1_500);
        let zone_h = rng.random_range(-6..9);
        let times = builder.span.service(&mut rng, n, zone_h);
        let params = Params {
            temperature: Some(0.3),
            max_tokens: Some(400),
            stream: true,
            ..Params::default()
        };
        let mut spec = machine(&mut rng, params, Box::new(script));
        spec.network = Network::Fixed(address.clone());
        builder.add(label, spec, &times);
    }
}

/// Looks like harvesting in all but its contract, which no log tells: the plan is that of any
/// large customer.
fn licensed(builder: &mut Builder<'_>, label: Label, size: usize) {
    let mut rng = builder.fork();
    let address = place::cloud(&mut rng);
    let subject = builder.language.any_subject(&mut rng);
    let user = frozen(builder, &mut rng, "campaign_frames", subject);
    for _ in 0..size {
        let script = template(String::new(), user.clone(), "bank_question", Vec::new());
        let n = count(&mut rng, 400.0, 0.5, 100..=1_500);
        let times = builder.span.flat(&mut rng, n);
        let params =
            Params { temperature: Some(0.9), max_tokens: Some(2_048), ..Params::default() };
        let mut spec = machine(&mut rng, params, script);
        spec.plan = "enterprise";
        spec.model = "chat-large";
        spec.network = Network::Fixed(address.clone());
        builder.add(label, spec, &times);
    }
}

/// Three variants of a prompt over the same thirty inputs.
fn ab_test(builder: &mut Builder<'_>, label: Label, size: usize) {
    let mut rng = builder.fork();
    let language = builder.language;
    let domain = rng.random_range(0..language.n_domains());
    let subject = language.subject_in(&mut rng, domain);
    let variants: Vec<String> = (0..3).map(|_| frozen(builder, &mut rng, "ab", subject)).collect();
    let inputs: Vec<Subject> = (0..30).map(|_| language.subject_in(&mut rng, domain)).collect();
    let address = place::address(&mut rng);
    for _ in 0..size {
        let (variants, inputs) = (variants.clone(), inputs.clone());
        let script = By(move |say: &mut Say<'_>| {
            let variant = variants.get(say.item as usize % 3).cloned().unwrap_or_default();
            let about =
                inputs.get(say.item as usize / 3 % inputs.len().max(1)).copied().unwrap_or(subject);
            let text = say.language.expand(say.rng, &variant, Fill::about(about));
            Draft::new(text, about, 3)
        });
        let rounds = rng.random_range(1..5);
        let times = builder.span.bursts(&mut rng, 90 * rounds, rounds);
        let params = Params { temperature: Some(0.7), ..Params::default() };
        let mut spec = machine(&mut rng, params, Box::new(script));
        spec.network = Network::Fixed(address.clone());
        builder.add(label, spec, &times);
    }
}

/// Articles by template on whatever sells.
fn mill(builder: &mut Builder<'_>, label: Label, size: usize) {
    let mut rng = builder.fork();
    let subject = builder.language.any_subject(&mut rng);
    let zone_h = rng.random_range(-6..9);
    let address = place::address(&mut rng);
    let templates: Vec<String> =
        (0..3).map(|_| frozen(builder, &mut rng, "article", subject)).collect();
    for _ in 0..size {
        let user = templates.choose(&mut rng).cloned().unwrap_or_default();
        let script = template(String::new(), user, "ask", Vec::new());
        let n = count(&mut rng, 100.0, 0.7, 10..=600);
        let times = builder.span.office(&mut rng, n, zone_h);
        let params =
            Params { temperature: Some(0.8), max_tokens: Some(2_000), ..Params::default() };
        let mut spec = machine(&mut rng, params, script);
        spec.network = Network::Fixed(address.clone());
        builder.add(label, spec, &times);
    }
}

/// One open-source tool, run by strangers' schedulers over their own tickets.
fn nightly(builder: &mut Builder<'_>, label: Label, size: usize) {
    let mut rng = builder.fork();
    let user = builder.language.bank("batch").concat();
    for _ in 0..size {
        let domain = rng.random_range(0..builder.language.n_domains());
        let script = template(String::new(), user.clone(), "ask", vec![domain]);
        let n = count(&mut rng, 150.0, 0.7, 14..=800);
        let hour =
            f64::from(rng.random_range(0..6_u32)) + if rng.random_bool(0.7) { 0.0 } else { 0.5 };
        let times = builder.span.nightly(&mut rng, n, hour, 3 * SECOND);
        let params = Params { temperature: Some(0.0), max_tokens: Some(800), ..Params::default() };
        let mut spec = machine(&mut rng, params, script);
        "ticketdigest/2.1".clone_into(&mut spec.agent);
        builder.add(label, spec, &times);
    }
}
