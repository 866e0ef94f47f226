//! Campaigns: groups of accounts that harvest together, in three styles.
//!
//! Style A is what reports describe: scripts on one queue of questions. Style B does the same
//! from browsers at homes, in waking hours, on favourite subjects, with wording of each account.
//! Style C is a crowd of paid people at work, who paste prompts and carry on for a turn or two.

use super::account::{Draft, Params, Say, Script};
use super::build::{Builder, Spec};
use super::crowd::Worker;
use super::grammar::{Fill, Language, Subject, zipf};
use super::label::{Kind, Label, Style};
use super::person::{By, Hand, Mixed, Person, item};
use super::place::{self, Network};
use super::times::{HOUR, SECOND, lognormal, seconds};
use super::tools::public_item;
use rand::seq::{IndexedRandom as _, SliceRandom as _};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use std::sync::Arc;

/// Size of a campaign.
#[derive(Debug, Clone, Copy)]
pub(super) struct Size {
    pub(super) accounts: usize,
    pub(super) requests: usize,
}

/// Templates of a campaign that varies them.
const VARIANTS: usize = 500;

/// What all accounts of a campaign share.
pub(super) struct Plan {
    kind: Kind,
    style: Style,
    seed: u64,
    templates: Vec<String>,
}

impl Plan {
    fn new(language: &Language, rng: &mut ChaCha8Rng, kind: Kind, style: Style) -> Self {
        let bank = match (kind, style) {
            (Kind::FixedPrompt, Style::A) => "campaign_fixed",
            (Kind::FixedPrompt, Style::B) => "b_fixed",
            (Kind::ChainOfThought, Style::A) => "campaign_cot",
            (Kind::ChainOfThought, Style::B) => "b_cot",
            (Kind::Code, Style::A) => "campaign_code",
            (Kind::Code, Style::B) => "b_code",
            (Kind::FixedPrompt, Style::C) => "c_fixed",
            (Kind::ChainOfThought, Style::C) => "c_cot",
            (Kind::Code, Style::C) => "c_code",
            (_, Style::A) => "campaign_frames",
            (_, Style::B) => "b_frames",
            (_, Style::C) => "c_frames",
        };
        let n = if kind == Kind::FixedPrompt { 1 } else { VARIANTS };
        let templates = (0..n)
            .map(|_| {
                let subject = language.any_subject(rng);
                let pattern = language.pattern(rng, bank);
                language.freeze(rng, pattern, subject)
            })
            .collect();
        Self { kind, style, seed: rng.random(), templates }
    }

    /// The question that a number of the queue stands for; the same whoever asks it.
    pub(super) fn question(
        &self,
        language: &Language,
        number: u64,
        domains: &[usize],
    ) -> (String, Subject) {
        let mut rng = ChaCha8Rng::seed_from_u64(self.seed ^ number.wrapping_mul(0x9e37_79b9));
        let subject = match domains.choose(&mut rng) {
            Some(domain) => language.subject_in(&mut rng, *domain),
            None => language.any_subject(&mut rng),
        };
        let bank = match (self.kind, self.style) {
            (Kind::Benchmark, _) if rng.random_bool(0.6) => return public_item(language, number),
            (Kind::Benchmark, _) => "bank_benchmark",
            (Kind::Code, _) => "bank_task",
            // As scraped from people's conversations: asked like they ask.
            (Kind::QuestionBank, _) => {
                *["ask", "ask", "write", "plan", "text", "code", "homework", "bank_question"]
                    .choose(&mut rng)
                    .unwrap_or(&"ask")
            }
            (_, Style::B) if rng.random_bool(0.5) => "ask",
            _ => "bank_question",
        };
        (item(language, &mut rng, bank, subject), subject)
    }

    /// The request around a question.
    pub(super) fn wrap(&self, say: &mut Say<'_>, question: &str, subject: Subject) -> String {
        let fill = Fill { subject, item: question, quote: "" };
        let pattern = match (self.kind, self.style) {
            (Kind::QuestionBank, _) | (Kind::Benchmark, Style::B | Style::C) => {
                return question.to_owned();
            }
            (Kind::Benchmark, Style::A) => {
                return format!("{question} Explain your answer step by step.");
            }
            (Kind::Paraphrased, Style::A) => say.language.pattern(say.rng, "campaign_paraphrase"),
            (Kind::Paraphrased, Style::B) => say.language.pattern(say.rng, "b_paraphrase"),
            (Kind::Paraphrased, Style::C) => say.language.pattern(say.rng, "c_paraphrase"),
            _ => {
                let template = self.templates.choose(say.rng).map_or("{i}", String::as_str);
                return say.language.expand(say.rng, template, fill);
            }
        };
        say.language.expand(say.rng, pattern, fill)
    }
}

/// Adds a campaign.
pub(super) fn add(builder: &mut Builder<'_>, label: Label, size: Size, vpn: &[String]) {
    let Label::Campaign(kind, style, _) = label else { return };
    let language = builder.language;
    let mut rng = builder.fork();
    let plan = Arc::new(Plan::new(language, &mut rng, kind, style));
    let accounts = if kind == Kind::Hydra { 2 * size.accounts } else { size.accounts };
    let machines: Vec<String> = (0..4).map(|_| place::cloud(&mut rng)).collect();
    let proxies: Vec<String> = {
        let mut all = place::pool(&mut rng, 150);
        // The proxy service has innocent customers too.
        all.extend(vpn.iter().take(20).cloned());
        all
    };
    let agents: Vec<String> = (0..2).map(|_| place::library(&mut rng)).collect();
    let params = Params {
        temperature: Some(*[0.7, 0.8, 1.0].choose(&mut rng).unwrap_or(&0.7)),
        max_tokens: Some(*[1_024, 2_048, 4_096].choose(&mut rng).unwrap_or(&2_048)),
        ..Params::default()
    };
    let members: Vec<u32> = (0..accounts)
        .map(|_| {
            let script = script(language, &mut rng, &plan);
            let mut spec = Spec {
                plan: ["api", "api", "api", "free", "plus"]
                    .choose(&mut rng)
                    .copied()
                    .unwrap_or("api"),
                model: if kind == Kind::ChainOfThought { "reasoner" } else { "chat-large" },
                agent: agents.choose(&mut rng).cloned().unwrap_or_default(),
                network: match kind {
                    Kind::Hydra | Kind::RoundRobin => Network::Pool(proxies.clone()),
                    _ if rng.random_bool(0.35) => Network::Pool(machines.clone()),
                    _ => Network::Fixed(place::cloud(&mut rng)),
                },
                params: params.clone(),
                script,
            };
            if style == Style::B {
                spec.plan = if rng.random_bool(0.6) { "free" } else { "plus" };
                spec.agent = place::browser(&mut rng);
                spec.params = Params::chat();
                if kind != Kind::Hydra {
                    spec.network = place::home(&mut rng);
                }
            }
            if style == Style::C {
                spec.plan = if rng.random_bool(0.6) { "free" } else { "plus" };
                spec.agent = place::browser(&mut rng);
                spec.params = Params::chat();
                spec.network = match kind {
                    Kind::Hydra => Network::Pool(proxies.clone()),
                    _ if rng.random_bool(0.3) => Network::Pool(vpn.to_vec()),
                    _ => place::home(&mut rng),
                };
            }
            builder.account(label, spec)
        })
        .collect();
    schedule(builder, &mut rng, kind, style, &members, size.requests);
}

/// How one account of a campaign writes.
fn script(language: &Language, rng: &mut ChaCha8Rng, plan: &Arc<Plan>) -> Box<dyn Script> {
    let of_account = Arc::clone(plan);
    let harvest: Box<dyn Script> = match plan.style {
        Style::A => Box::new(By(move |say: &mut Say<'_>| {
            let (question, subject) = of_account.question(say.language, u64::from(say.item), &[]);
            let text = of_account.wrap(say, &question, subject);
            Draft::new(text, subject, 8)
        })),
        Style::C => Box::new(Worker::new(of_account)),
        Style::B => {
            let hand = Hand::new(rng);
            let domains: Vec<usize> = (0..8)
                .map(|_| zipf(rng, language.n_domains()) * 37 % language.n_domains())
                .collect();
            Box::new(By(move |say: &mut Say<'_>| {
                let (question, subject) =
                    of_account.question(say.language, u64::from(say.item), &domains);
                let text = of_account.wrap(say, &question, subject);
                let text = hand.write(say.language, say.rng, &text, subject);
                Draft::new(text, subject, 8)
            }))
        }
    };
    let share = match plan.kind {
        Kind::Cover30 => 0.3,
        Kind::Cover50 => 0.5,
        Kind::Cover80 => 0.8,
        _ if plan.style == Style::B => 0.1,
        _ => return harvest,
    };
    let person = Person::new(language, rng);
    Box::new(Mixed { first: harvest, second: Box::new(person), share, was_second: false })
}

/// Who asks for which question when.
fn schedule(
    builder: &mut Builder<'_>,
    rng: &mut ChaCha8Rng,
    kind: Kind,
    style: Style,
    members: &[u32],
    requests: usize,
) {
    let n = members.len();
    let total = n * requests;
    let mut queue: Vec<u32> = (0..u32::try_from(total).unwrap_or(u32::MAX)).collect();
    queue.shuffle(rng);
    match kind {
        Kind::RoundRobin => {
            let mut times = builder.span.flat(rng, total);
            if style != Style::A {
                times = builder.span.service(rng, total, 1);
            }
            let mut turn = 0;
            for (time, item) in times.into_iter().zip(queue) {
                let account = |turn: usize| members.get(turn % n.max(1)).copied().unwrap_or(0);
                if rng.random_bool(0.08) {
                    builder.fails_at(account(turn), time, item);
                    turn += 1;
                    builder.at(account(turn), time + rng.random_range(1..4) * SECOND, item);
                } else {
                    builder.at(account(turn), time, item);
                }
                turn += 1;
            }
        }
        Kind::Hydra => {
            let times = if style == Style::A {
                builder.span.flat(rng, total)
            } else {
                builder.span.service(rng, total, 1)
            };
            // Each account gets its share, in an order that says nothing.
            let mut turns: Vec<u32> =
                members.iter().flat_map(|member| std::iter::repeat_n(*member, requests)).collect();
            turns.shuffle(rng);
            for ((time, account), item) in times.into_iter().zip(turns).zip(queue) {
                builder.at(account, time, item);
            }
        }
        _ => {
            for (place, member) in members.iter().enumerate() {
                let times = own_times(builder, rng, kind, style, requests);
                for (k, time) in times.into_iter().enumerate() {
                    let item = queue.get(place * requests + k).copied().unwrap_or(0);
                    builder.at(*member, time, item);
                }
            }
        }
    }
}

fn own_times(
    builder: &Builder<'_>,
    rng: &mut ChaCha8Rng,
    kind: Kind,
    style: Style,
    requests: usize,
) -> Vec<i64> {
    let span = builder.span;
    let zone_h = rng.random_range(-5..9);
    match (kind, style) {
        (Kind::Slow, _) => span.slow(rng, requests, zone_h),
        (Kind::Bursty, Style::A) => {
            let bursts = rng.random_range(1..4);
            span.bursts(rng, requests, bursts)
        }
        (_, Style::C) => span.office(rng, requests, 5),
        (_, Style::B) | (Kind::Cover50 | Kind::Cover80, Style::A) => {
            span.person(rng, requests, zone_h)
        }
        _ => {
            // A worker that runs some hours a day, a pause between two questions.
            let mut times = Vec::with_capacity(requests);
            while times.len() < requests {
                let mut time = span.moment(rng, HOUR);
                for _ in 0..rng.random_range(6..=26_usize).min(requests - times.len()) {
                    times.push(time);
                    time += seconds(lognormal(rng, 45.0, 0.4));
                }
            }
            times.sort_unstable();
            times
        }
    }
}
