//! A small world of traffic for the tests of this room: people with own habits, groups of
//! innocents that look alike, campaigns that deal out one question bank.

#![expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    clippy::cast_possible_wrap,
    clippy::format_collect,
    clippy::assigning_clones,
    clippy::semicolon_if_nothing_returned,
    clippy::range_plus_one,
    clippy::too_many_lines,
    reason = "small numbers of a made-up world"
)]

use stillwatch_traffic::Observation;

/// One exchange that owns its texts.
#[derive(Debug, Clone, Default)]
pub(crate) struct Sent {
    pub(crate) account: String,
    pub(crate) time_ms: i64,
    pub(crate) system: String,
    pub(crate) user: String,
    pub(crate) response: String,
    pub(crate) n_messages: u32,
    pub(crate) temperature: Option<f32>,
    pub(crate) max_tokens: Option<u32>,
    pub(crate) failed: bool,
    pub(crate) ip: String,
    pub(crate) user_agent: String,
}

impl Sent {
    pub(crate) fn observation(&self) -> Observation<'_> {
        Observation {
            account: &self.account,
            plan: "pro",
            time_ms: self.time_ms,
            model: "large",
            system: &self.system,
            user: &self.user,
            response: &self.response,
            n_messages: self.n_messages.max(1),
            temperature: self.temperature,
            max_tokens: self.max_tokens,
            failed: self.failed,
            ip: &self.ip,
            user_agent: &self.user_agent,
            ..Observation::default()
        }
    }
}

/// SplitMix64: enough for a test world, repeatable from its seed.
#[derive(Debug, Clone)]
pub(crate) struct Random(pub(crate) u64);

impl Random {
    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    pub(crate) fn below(&mut self, n: usize) -> usize {
        usize::try_from(self.next() % n.max(1) as u64).unwrap_or(0)
    }

    pub(crate) fn unit(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1u64 << 53) as f64
    }

    pub(crate) fn chance(&mut self, p: f64) -> bool {
        self.unit() < p
    }

    pub(crate) fn normal(&mut self) -> f64 {
        (-2.0 * self.unit().max(1e-12).ln()).sqrt() * (std::f64::consts::TAU * self.unit()).cos()
    }

    pub(crate) fn pick<'a, T>(&mut self, of: &'a [T]) -> &'a T {
        &of[self.below(of.len())]
    }
}

pub(crate) const DAY_MS: i64 = 86_400_000;
pub(crate) const START_MS: i64 = 1_790_000_000_000 / DAY_MS * DAY_MS;
const AGENTS: [&str; 6] = [
    "Mozilla/5.0 (Windows)",
    "Mozilla/5.0 (Macintosh)",
    "openai-python/1.99",
    "curl/8.9",
    "node-fetch",
    "Mozilla/5.0 (Linux)",
];
const FORMS: [&str; 24] = [
    "how does the # of # change when the # is #",
    "what is the difference between # and # in #",
    "can you compare # with # for a # in #",
    "i need a short note about # and the # of #",
    "why would a # need # after #",
    "list the main # of # during #",
    "my # keeps losing its # when i use #, what now",
    "describe # to someone who knows only #",
    "is # better than # for # under #",
    "who first described the # of #",
    "estimate the # of a # with # and #",
    "when should one use # instead of #",
    "summarise the debate on # and #",
    "what happens to # if # rises above #",
    "prove that # implies # for every #",
    "give me an example of # in #",
    "help me plan # around # and #",
    "what are common mistakes with # and #",
    "design a # that handles # without #",
    "find the error: # equals # plus #",
    "which # has the largest # near #",
    "outline the history of # from # to #",
    "how many # fit in a # of #",
    "should the # come before or after the #",
];

/// A word of a topic; 60 topics of 80 words.
pub(crate) fn word(topic: usize, i: usize) -> String {
    let mut r = Random((topic * 1000 + i) as u64 * 77 + 5);
    let n = 2 + r.below(3);
    (0..n)
        .map(|_| {
            let c = b"bcdfglmnprstvz"[r.below(14)] as char;
            let v = b"aeiou"[r.below(5)] as char;
            let tail = ["", "n", "r", "s"][r.below(4)];
            format!("{c}{v}{tail}")
        })
        .collect()
}

pub(crate) fn question(r: &mut Random, topic: usize) -> String {
    let form = *r.pick(&FORMS);
    let mut out = String::new();
    for c in form.chars() {
        if c == '#' {
            // Squaring prefers the first words: vocabularies are uneven.
            let i = (r.unit() * r.unit() * 80.0) as usize;
            out += &word(topic, i);
        } else {
            out.push(c);
        }
    }
    out
}

pub(crate) fn prose(r: &mut Random, topic: usize, n_sentences: usize) -> String {
    (0..n_sentences).map(|_| question(r, topic)).collect::<Vec<_>>().join(". ")
}

pub(crate) fn ip(r: &mut Random) -> String {
    format!("{}.{}.{}.{}", 20 + r.below(180), r.below(256), r.below(256), r.below(256))
}

/// The habits of a person.
#[derive(Debug, Clone)]
pub(crate) struct Person {
    pub(crate) name: String,
    topics: Vec<usize>,
    wakes_h: usize,
    sentences: f64,
    n: usize,
    converses: f64,
    ips: Vec<String>,
    agent: String,
}

pub(crate) fn person(r: &mut Random, name: String) -> Person {
    Person {
        name,
        topics: (0..3).map(|_| r.below(60)).collect(),
        wakes_h: [7, 8, 9, 13, 14, 15, 16, 23][r.below(8)],
        sentences: (r.normal() * 0.6 + 0.7).exp(),
        n: ((r.normal() * 0.9 + 3.3).exp() as usize).clamp(2, 600),
        converses: [0.0, 0.3, 0.6, 0.8][r.below(4)],
        ips: (0..1 + r.below(3)).map(|_| ip(r)).collect(),
        agent: (*r.pick(&AGENTS)).to_owned(),
    }
}

/// Lets a person ask over some days; `change` may alter each exchange.
pub(crate) fn live(
    r: &mut Random,
    p: &Person,
    days: usize,
    out: &mut Vec<Sent>,
    mut change: impl FnMut(&mut Random, &mut Sent),
) {
    let mut left = p.n;
    while left > 0 {
        let day = r.below(days) as i64;
        let hour = (p.wakes_h as f64 + (r.unit() + r.unit()) * 7.5) % 24.0;
        let mut time = START_MS + day * DAY_MS + (hour * 3.6e6) as i64;
        let topic = *r.pick(&p.topics);
        let mut depth = 1;
        for _ in 0..(1 + r.below(6)).min(left) {
            left -= 1;
            let n = ((p.sentences * (0.5 + r.unit())) as usize).max(1);
            let mut sent = Sent {
                account: p.name.clone(),
                time_ms: time,
                user: prose(r, topic, n),
                response: {
                    let n = 2 + r.below(8);
                    prose(r, topic, n)
                },
                n_messages: depth,
                ip: r.pick(&p.ips).clone(),
                user_agent: p.agent.clone(),
                ..Sent::default()
            };
            change(r, &mut sent);
            out.push(sent);
            if r.chance(p.converses) {
                depth += 2
            } else {
                depth = 1
            }
            time += 20_000 + (r.unit() * 240_000.0) as i64;
        }
    }
}

/// A background of people.
pub(crate) fn people(r: &mut Random, n: usize, days: usize) -> Vec<Sent> {
    let mut out = Vec::new();
    for i in 0..n {
        let p = person(r, format!("person-{i:05}"));
        live(r, &p, days, &mut out, |_, _| {});
    }
    out
}

/// How a campaign hides.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Fixed,
    Variants,
    Paraphrased,
    TemplateFree,
    Mixed,
    Slow,
    RoundRobin,
    Ghost,
    Own,
}

pub(crate) const KINDS: [Kind; 9] = [
    Kind::Fixed,
    Kind::Variants,
    Kind::Paraphrased,
    Kind::TemplateFree,
    Kind::Mixed,
    Kind::Slow,
    Kind::RoundRobin,
    Kind::Ghost,
    Kind::Own,
];

const VERBS: [&str; 8] =
    ["solve", "answer", "work out", "address", "resolve", "handle", "treat", "tackle"];
const NOUNS: [&str; 6] = ["problem", "question", "task", "exercise", "item", "query"];
const WAYS: [&str; 8] = [
    "step by step",
    "showing every step",
    "with your full reasoning",
    "and lay out all your thinking",
    "with a complete rationale",
    "explaining each inference",
    "thinking aloud in detail",
    "with the whole chain of thought",
];
const ENDS: [&str; 6] = [
    "then state the result",
    "finish with the result",
    "and end on one line with the result",
    "conclude with the outcome",
    "close with the final value",
    "and give the outcome last",
];

/// A campaign of `n_accounts` with about `per_account` requests each.
pub(crate) fn campaign(
    r: &mut Random,
    kind: Kind,
    name: &str,
    n_accounts: usize,
    per_account: usize,
    days: usize,
) -> Vec<Sent> {
    let mut out = Vec::new();
    let proxies: Vec<String> = (0..n_accounts * 2).map(|_| ip(r)).collect();
    let variants: Vec<String> = (0..500)
        .map(|_| {
            format!(
                "{} the following {} {}, {}",
                r.pick(&VERBS),
                r.pick(&NOUNS),
                r.pick(&WAYS),
                r.pick(&ENDS)
            )
        })
        .collect();
    let total = n_accounts * per_account;
    for i in 0..total {
        let account = if kind == Kind::RoundRobin { i % n_accounts } else { r.below(n_accounts) };
        let topic = r.below(60);
        let n_sentences = 1 + r.below(3);
        let q = prose(r, topic, n_sentences);
        let user = match kind {
            Kind::Fixed | Kind::RoundRobin | Kind::Slow | Kind::Mixed => format!(
                "Please solve the following problem step by step and show your complete reasoning before you state the final result. Problem: {q}"
            ),
            Kind::Variants => format!("{}: {q}", r.pick(&variants)),
            Kind::Paraphrased => {
                let (a, b) = (word(99, r.below(80)), word(98, r.below(80)));
                format!(
                    "{} this {a} {}: {q} {} {b} {}",
                    r.pick(&VERBS),
                    r.pick(&NOUNS),
                    r.pick(&WAYS),
                    r.pick(&ENDS)
                )
            }
            Kind::TemplateFree | Kind::Ghost => q,
            Kind::Own => format!("{}: {q}", variants[account]),
        };
        let time = if kind == Kind::RoundRobin {
            days as f64 * i as f64 / total as f64
        } else {
            r.unit() * days as f64
        };
        out.push(Sent {
            account: format!("{name}-{account:04}"),
            time_ms: START_MS + (time * DAY_MS as f64) as i64,
            user,
            response: {
                let n = 10 + r.below(10);
                prose(r, topic, n)
            },
            n_messages: 1,
            temperature: (kind != Kind::Ghost).then_some(0.7),
            max_tokens: (kind != Kind::Ghost).then_some(4096),
            ip: if matches!(kind, Kind::Ghost | Kind::Own) {
                proxies[account].clone()
            } else {
                r.pick(&proxies).clone()
            },
            user_agent: if account % 2 == 0 { "python-httpx/0.28" } else { "openai-python/1.99" }
                .to_owned(),
            ..Sent::default()
        });
    }
    if kind == Kind::Mixed {
        for i in 0..n_accounts {
            let mut p = person(r, format!("{name}-{i:04}"));
            p.n = per_account;
            live(r, &p, days, &mut out, |_, _| {});
        }
    }
    out
}

/// Innocents that look alike, by class.
pub(crate) const INNOCENTS: [&str; 16] = [
    "rag",
    "office",
    "class",
    "evaluation",
    "translation",
    "support",
    "ide",
    "synthetic",
    "survey",
    "ab-test",
    "mill",
    "reader",
    "batch",
    "agent",
    "viral",
    "script",
];

pub(crate) fn innocents(r: &mut Random, class: &str, n: usize, days: usize) -> Vec<Sent> {
    let mut out = Vec::new();
    let shared_ip = ip(r);
    let homework: Vec<String> = (0..40).map(|i| prose(r, i % 5, 2)).collect();
    let pool: Vec<String> = (0..400).map(|i| question(r, i % 4)).collect();
    let items: Vec<String> = (0..300).map(|i| prose(r, i % 60, 3)).collect();
    let zipf = |r: &mut Random, n: usize| ((n as f64).powf(r.unit()) - 1.0) as usize;
    for i in 0..n {
        let mut p = person(r, format!("{class}-{i:04}"));
        match class {
            "rag" => live(r, &p, days, &mut out, |r, s| {
                let (a, b, c) = (r.pick(&items).clone(), r.pick(&items).clone(), zipf(r, 400));
                s.user = format!(
                    "Answer the question from the context only. If the context does not hold the answer, say that you do not know. Context: {a} {b} Question: {}",
                    pool[c]
                );
                s.n_messages = 2;
                s.ip.clone_from(&shared_ip);
                s.user_agent = "acme-rag/2.1".to_owned();
                s.temperature = Some(0.0);
            }),
            "office" => {
                p.wakes_h = 8;
                p.ips = vec![shared_ip.clone()];
                live(r, &p, days, &mut out, |_, s| {
                    s.system = "You are the assistant of Acme Incorporated. Be brief, polite and keep to the house style.".to_owned();
                    s.n_messages += 1;
                })
            }
            "class" => {
                p.wakes_h = 13;
                p.n = 30;
                p.ips = vec![shared_ip.clone()];
                live(r, &p, 5, &mut out, |r, s| {
                    s.user = format!("explain step by step: {}", r.pick(&homework));
                })
            }
            "evaluation" => {
                p.n = 300;
                live(r, &p, 2, &mut out, |r, s| {
                    s.user = format!(
                        "Think step by step and finish with the answer. {}",
                        r.pick(&items)
                    );
                    s.temperature = Some(0.0);
                    s.n_messages = 1;
                })
            }
            "translation" => {
                p.wakes_h = 7;
                p.ips = vec![shared_ip.clone()];
                live(r, &p, days, &mut out, |_, s| {
                    s.user = format!(
                        "Translate the following text into German and keep the formatting as it is: {}",
                        s.user
                    );
                    s.n_messages = 1;
                    s.response = s.user.clone();
                })
            }
            "support" => live(r, &p, days, &mut out, |r, s| {
                s.system = "You are the support assistant of Acme. Answer from the handbook and be friendly to the customer.".to_owned();
                if r.chance(0.5) {
                    s.user = pool[zipf(r, 60)].clone();
                }
                s.n_messages += 1;
            }),
            "ide" => live(r, &p, days, &mut out, |r, s| {
                s.system = "You complete code. Return only the code that belongs at the cursor and nothing else.".to_owned();
                s.response = question(r, 3);
                s.max_tokens = Some(64);
                s.temperature = Some(0.2);
                s.n_messages = 2;
                s.user_agent = "acme-ide/1.4".to_owned();
            }),
            "synthetic" => {
                p.n = 1500;
                let mut k = 0;
                live(r, &p, days, &mut out, |r, s| {
                    k += 1;
                    let t = r.below(60);
                    s.user = format!(
                        "Write a question and a detailed step by step solution about {} in the style of example {k}",
                        question(r, t)
                    );
                    s.n_messages = 1;
                    s.temperature = Some(1.0);
                })
            }
            "survey" => {
                p.n = 40;
                live(r, &p, days, &mut out, |r, s| {
                    s.user = format!(
                        "Rate the following answer from one to five for helpfulness and give a reason: {}",
                        r.pick(&items)
                    );
                    s.n_messages = 1;
                    s.response = "three".to_owned();
                })
            }
            "ab-test" => {
                p.n = 60;
                live(r, &p, days, &mut out, |r, s| {
                    let t = [
                        "Summarise the text below in one sentence for a busy reader:",
                        "Give a one sentence summary of this text for a manager:",
                    ];
                    s.user = format!("{} {}", r.pick(&t), r.pick(&items));
                    s.n_messages = 1;
                })
            }
            "mill" => {
                p.wakes_h = 9;
                p.ips = vec![shared_ip.clone()];
                live(r, &p, days, &mut out, |r, s| {
                    let t = *r.pick(&p.topics);
                    s.user = format!(
                        "Write an article of five hundred words with headings for search engines about {}",
                        question(r, t)
                    );
                    let n = 20;
                    s.response = prose(r, t, n);
                    s.n_messages = 1;
                })
            }
            "reader" => live(r, &p, days, &mut out, |r, s| {
                s.user = format!(
                    "Describe this page for a blind user and name its main links and buttons: {}",
                    prose(r, 7, 6)
                );
                s.n_messages = 1;
                s.user_agent = "reader/3".to_owned();
            }),
            "batch" => {
                p.n = 40 * days;
                live(r, &p, 1, &mut out, |r, s| {
                    s.time_ms = START_MS
                        + r.below(days) as i64 * DAY_MS
                        + 2 * 3_600_000
                        + r.below(3_600_000) as i64;
                    s.user = format!(
                        "Extract the name, the date and the amount from this invoice as a table: {}",
                        prose(r, 11, 4)
                    );
                    s.n_messages = 1;
                    s.temperature = Some(0.0);
                })
            }
            "script" => {
                p.n = 40;
                let frame = r.below(1000);
                live(r, &p, days, &mut out, |r, s| {
                    s.time_ms = START_MS + r.below(days * 86_400) as i64 * 1000;
                    s.user = format!(
                        "{} {} {}: {}",
                        word(70, frame),
                        word(71, frame),
                        word(72, frame),
                        s.user
                    );
                    s.n_messages = 1;
                    s.user_agent = "openai-python/1.99".to_owned();
                });
            }
            "agent" => {
                let mut last = String::new();
                live(r, &p, days, &mut out, |_, s| {
                    s.user = format!(
                        "Observation: {last} What is the next action? Answer with one tool call and its arguments."
                    );
                    last = s.response.clone();
                    s.n_messages = 5;
                })
            }
            _ => {
                let mut first = true;
                live(r, &p, days, &mut out, |_, s| {
                    if first {
                        s.user = "Write a sea shanty about my cat as if a pirate had sung it in a storm and make it rhyme".to_owned();
                    }
                    first = false;
                })
            }
        }
    }
    out
}
