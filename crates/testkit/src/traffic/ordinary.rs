//! Ordinary users: most chat, some program, some are odd in ways that detectors dislike.

use super::account::Params;
use super::build::{Builder, Spec};
use super::grammar::zipf;
use super::label::Label;
use super::person::{Person, template};
use super::place::{self, Network};
use super::times::count;
use rand::Rng;
use rand_chacha::ChaCha8Rng;

/// Adds this many.
pub(super) fn add(builder: &mut Builder<'_>, n: usize, vpn: &[String]) {
    let mut homes = Vec::new();
    for _ in 0..n {
        one(builder, vpn, &mut homes);
    }
}

/// Homes whose next tenant is looked for; families and flats share an address.
const HOMES_MAX: usize = 40;

/// What front ends for own keys send with every request, whoever types.
const FRONT_ENDS: [(&str, &str); 3] = [
    (
        "typechat/2.3",
        "You are a helpful assistant. Answer as concisely as possible. Use Markdown. If you are \
         unsure, say so instead of guessing.",
    ),
    (
        "desk-llm/0.9.4",
        "You are a large language model. Follow the user's instructions carefully. Respond using \
         Markdown. Current conversation starts below.",
    ),
    (
        "OpenAI/JS 4.77.0",
        "You are an AI assistant in a browser side bar. Be helpful, harmless and honest. Keep \
         answers short unless asked for more.",
    ),
];

fn one(builder: &mut Builder<'_>, vpn: &[String], homes: &mut Vec<Network>) {
    let language = builder.language;
    let mut rng = builder.fork();
    let zone_h = [-8, -5, -3, 0, 1, 1, 2, 3, 5, 8, 9][rng.random_range(0..11)];
    let volume = |rng: &mut _, median: f64| count(rng, median, 1.15, 1..=1_200);
    let person = Person::new(language, &mut rng);
    let network = network(&mut rng, vpn, homes);
    let chat = |script: Person, rng: &mut _, network: Network| Spec {
        plan: if Rng::random_bool(rng, 0.7) { "free" } else { "plus" },
        model: if Rng::random_bool(rng, 0.7) { "chat-small" } else { "chat-large" },
        agent: place::browser(rng),
        network,
        params: Params::chat(),
        script: Box::new(script),
    };
    let n = volume(&mut rng, 12.0);
    match rng.random_range(0..100) {
        // Chats like everybody.
        0..57 => {
            let times = builder.span.person(&mut rng, n, zone_h);
            let spec = chat(person, &mut rng, network);
            builder.add(Label::Ordinary, spec, &times);
        }
        // Chats through a front end with an own key: its system prompt and settings are shared
        // by all who use it.
        57..62 => {
            let (agent, system) = FRONT_ENDS[zipf(&mut rng, FRONT_ENDS.len())];
            let times = builder.span.person(&mut rng, n, zone_h);
            let mut spec = chat(person.system(system), &mut rng, network);
            spec.plan = "api";
            agent.clone_into(&mut spec.agent);
            spec.params.temperature = Some(0.7);
            spec.params.max_tokens = Some(2_048);
            builder.add(Label::Ordinary, spec, &times);
        }
        // Lives in it.
        62..67 => {
            let n = volume(&mut rng, 120.0);
            let times = builder.span.person(&mut rng, n, zone_h);
            let spec = chat(person.goes_on(0.7), &mut rng, network);
            builder.add(Label::Ordinary, spec, &times);
        }
        // Asks about everything, once.
        67..70 => {
            let all = (0..language.n_domains()).collect();
            let n = volume(&mut rng, 40.0);
            let times = builder.span.person(&mut rng, n, zone_h);
            let person = person.interests(all).intents(&["ask", "bank_question"]).goes_on(0.1);
            let spec = chat(person, &mut rng, network);
            builder.add(Label::Ordinary, spec, &times);
        }
        // Writes quizzes or prepares for tests.
        70..72 => {
            let times = builder.span.person(&mut rng, n, zone_h);
            let person = person.intents(&["bank_benchmark", "homework"]).goes_on(0.3);
            let spec = chat(person, &mut rng, network);
            builder.add(Label::Ordinary, spec, &times);
        }
        // Has read that it thinks better in steps.
        72..76 => {
            let times = builder.span.person(&mut rng, n, zone_h);
            let person = person.suffix(" Think step by step and explain your reasoning.");
            let spec = chat(person, &mut rng, network);
            builder.add(Label::Ordinary, spec, &times);
        }
        // Copies prompts from lists.
        76..82 => {
            let times = builder.span.person(&mut rng, n, zone_h);
            let person = person.intents(&["library", "library", "write"]);
            let spec = chat(person, &mut rng, network);
            builder.add(Label::Ordinary, spec, &times);
        }
        // Codes, with a key of their own.
        82..88 => {
            let n = volume(&mut rng, 30.0);
            let times = builder.span.person(&mut rng, n, zone_h);
            let mut spec = chat(person.intents(&["code", "code", "ask"]), &mut rng, network);
            spec.plan = "api";
            spec.agent = place::library(&mut rng);
            spec.params = Params::program(&mut rng);
            builder.add(Label::Ordinary, spec, &times);
        }
        // Runs a small program.
        _ => program(builder, &mut rng, zone_h),
    }
}

/// A home, at times one that somebody lives in already; or a VPN.
fn network(rng: &mut ChaCha8Rng, vpn: &[String], homes: &mut Vec<Network>) -> Network {
    if rng.random_bool(0.06) {
        return Network::Pool(vpn.to_vec());
    }
    if !homes.is_empty() && rng.random_bool(0.15) {
        return homes.swap_remove(rng.random_range(0..homes.len()));
    }
    let home = place::home(rng);
    if homes.len() < HOMES_MAX {
        homes.push(home.clone());
    }
    home
}

/// A program with a template of its own.
fn program(builder: &mut Builder<'_>, rng: &mut ChaCha8Rng, zone_h: i64) {
    let language = builder.language;
    let domain = zipf(rng, language.n_domains());
    let subject = language.subject_in(rng, domain);
    let pattern = language.pattern(rng, "app");
    let user = language.freeze(rng, pattern, subject);
    let n = count(rng, 60.0, 1.15, 1..=1_200);
    let times = match rng.random_range(0..3) {
        0 => builder.span.service(rng, n, zone_h),
        1 => {
            let hour = rng.random_range(0.0..24.0);
            let gap_ms = rng.random_range(1_000..20_000);
            builder.span.nightly(rng, n, hour, gap_ms)
        }
        _ => builder.span.office(rng, n, zone_h),
    };
    let spec = Spec {
        plan: "api",
        model: "chat-small",
        agent: place::library(rng),
        network: Network::Fixed(place::cloud(rng)),
        params: Params::program(rng),
        script: template(String::new(), user, "ask", vec![domain]),
    };
    builder.add(Label::Ordinary, spec, &times);
}
