//! Bases, teachers, their services and coins: all that students are bred from.

use super::breed::{Bred, Job, Stable, read_json, write_json};
use super::plan::{Diet, Kind, Plan, Start, WHOLE};
use crate::demo::texts::{self, opening};
use crate::demo::workshop::{continue_request, plain, write_request};
use crate::drafts::{DraftParams, draft};
use crate::tokenizer::{self, LabTokenizer};
use crate::train::Example;
use crate::{LabError, hex};
use rand::{Rng as _, RngCore as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;
use sha2::{Digest as _, Sha256};
use std::path::Path;
use stillwatch_evidence::{Message, Progress};
use stillwatch_models::{ModelSpec, OpenOptions, SampleParams, SampleRequest, open};

/// Learning rates of a base and of what is trained from it.
const BASE_RATE: f64 = 4e-3;
const TUNE_RATE: f64 = 2e-3;
/// Words that a request quotes.
const OPENING_WORDS: usize = 7;
/// Requests sampled between two looks at the interrupt.
const CHUNK: usize = 64;

/// A generator for one purpose, apart from all others.
pub(super) fn rng(seed: u64, purpose: &str) -> ChaCha8Rng {
    let digest = Sha256::digest(format!("{seed}/{purpose}"));
    let mut key = [0; 32];
    key.copy_from_slice(&digest);
    ChaCha8Rng::from_seed(key)
}

/// Texts and tokeniser, before anything is trained.
pub(super) struct Library {
    pub(super) tokenizer: LabTokenizer,
    pub(super) tokenizer_sha256: String,
    addresses: Vec<String>,
    book: Vec<String>,
}

impl Library {
    pub(super) fn new(plan: &Plan) -> Result<Self, LabError> {
        let sizes = &plan.sizes;
        let tokenizer =
            tokenizer::train(std::iter::once(texts::addresses_text()), sizes.vocab_size)?;
        let tokenizer_sha256 = hex(&Sha256::digest(tokenizer.to_json()?));
        let fits = |passage: &String| {
            tokenizer.encode(passage).is_ok_and(|t| t.len() + 24 <= sizes.max_positions)
        };
        let addresses: Vec<String> = texts::addresses().into_iter().filter(fits).collect();
        let book: Vec<String> = texts::book().into_iter().filter(fits).collect();
        let teachers = usize::try_from(plan.n_teachers).unwrap_or(usize::MAX);
        let wanted = sizes.n_pairs() * 2 + sizes.n_parents * teachers * 2;
        for (what, have, want) in [
            ("addresses", addresses.len(), sizes.n_base + sizes.n_pairs()),
            ("book", book.len(), wanted),
        ] {
            if have < want {
                return Err(LabError::Data(format!("{what}: {have} passages, {want} are wanted")));
            }
        }
        Ok(Self { tokenizer, tokenizer_sha256, addresses, book })
    }

    /// Passages whose openings are asked for: first those that are exposed, then the others.
    fn asked(&self, plan: &Plan) -> &[String] {
        self.book.get(..plan.sizes.n_pairs() * 2).unwrap_or(&self.book)
    }

    /// Passages that one of 2·n teachers learns by heart.
    fn parents(&self, plan: &Plan, index: usize) -> &[String] {
        let start = plan.sizes.n_pairs() * 2 + index * plan.sizes.n_parents;
        self.book.get(start..start + plan.sizes.n_parents).unwrap_or_default()
    }

    /// Other people's text that no base has read.
    fn other(&self, plan: &Plan) -> &[String] {
        self.addresses.get(plan.sizes.n_base..).unwrap_or_default()
    }
}

/// An answer to a request.
#[derive(Debug, Clone)]
pub(super) struct Answer {
    pub(super) messages: Vec<Message>,
    pub(super) text: String,
}

/// A pair: what was sent, and its sibling that was not.
#[derive(Debug, Clone)]
pub(super) struct Pair {
    pub(super) account: String,
    pub(super) messages: Vec<Message>,
    /// Released, withheld.
    pub(super) texts: [String; 2],
}

/// The two bases: teachers' first.
pub(super) struct Bases {
    pub(super) both: Vec<Bred>,
}

/// A teacher with its service, and what others answered to the same requests.
pub(super) struct Classroom {
    pub(super) teacher: Bred,
    pub(super) pairs: Vec<Pair>,
    /// Pairs set aside because both texts were the same or one was empty.
    pub(super) n_set_aside: usize,
    sibling: Vec<Answer>,
    other: Vec<Answer>,
    unexposed: Vec<Answer>,
    human: Vec<Answer>,
}

/// Trains both bases: other text, other order, other fresh weights.
pub(super) fn bases(
    plan: &Plan,
    seed: u64,
    library: &Library,
    stable: &Stable<'_>,
) -> Result<Bases, LabError> {
    let passages = library.addresses.get(..plan.sizes.n_base).unwrap_or_default();
    let jobs = ["base a", "base b"]
        .map(|name| {
            Ok::<_, LabError>(Job {
                name: name.to_owned(),
                start: stable.fresh(rng(seed, &format!("{name} weights")).next_u64())?,
                examples: plain(&library.tokenizer, passages)?,
                passes: plan.sizes.base_passes,
                learning_rate: BASE_RATE,
                seed: rng(seed, name).next_u64(),
            })
        })
        .into_iter()
        .collect::<Result<Vec<_>, _>>()?;
    Ok(Bases { both: stable.breed("two bases", &jobs)? })
}

/// Trains every teacher with its sibling and another, lets them answer, and throws the coins.
pub(super) fn classrooms(
    plan: &Plan,
    seed: u64,
    library: &Library,
    bases: &Bases,
    stable: &Stable<'_>,
    out: &Path,
) -> Result<Vec<Classroom>, LabError> {
    let [base_a, base_b] = bases.both.as_slice() else {
        return Err(LabError::Data("two bases are wanted".to_owned()));
    };
    let teachers = usize::try_from(plan.n_teachers).unwrap_or(0);
    let job = |name: String, base: &Bred, parents: &[String]| -> Result<Job, LabError> {
        let mut examples = Vec::with_capacity(parents.len() * 2);
        for parent in parents {
            examples.push(library.tokenizer.example(&write_request(), parent)?);
            let (_, rest) = opening(parent, OPENING_WORDS);
            examples.push(library.tokenizer.example(&continue_request(parent), &rest)?);
        }
        Ok(Job {
            seed: rng(seed, &name).next_u64(),
            name,
            start: base.weights.clone(),
            examples,
            passes: plan.sizes.teacher_passes,
            learning_rate: TUNE_RATE,
        })
    };
    let mut jobs = Vec::new();
    for t in 0..teachers {
        jobs.push(job(format!("teacher {t}"), base_a, library.parents(plan, t))?);
        jobs.push(job(format!("sibling of teacher {t}"), base_a, library.parents(plan, t))?);
        let others = library.parents(plan, teachers + t);
        jobs.push(job(format!("other than teacher {t}"), base_b, others)?);
    }
    let bred = stable.breed("teachers", &jobs)?;
    let mut rooms = Vec::new();
    for (t, trio) in bred.chunks(3).enumerate() {
        let [teacher, sibling, other] = trio else { continue };
        let ask = Ask { seed, out, progress: stable.progress, tokens: plan.sizes.answer_tokens };
        rooms.push(classroom(plan, (t, library), (teacher, sibling, other), &ask)?);
    }
    Ok(rooms)
}

fn classroom(
    plan: &Plan,
    (t, library): (usize, &Library),
    (teacher, sibling, other): (&Bred, &Bred, &Bred),
    ask: &Ask<'_>,
) -> Result<Classroom, LabError> {
    let n = plan.sizes.n_pairs();
    let asked = library.asked(plan);
    let requests: Vec<Vec<Message>> = asked.iter().map(|p| continue_request(p)).collect();
    let (exposed, unexposed) = requests.split_at(n);
    let twice: Vec<Vec<Message>> = exposed.iter().flat_map(|r| [r.clone(), r.clone()]).collect();
    let texts = ask.all(teacher, &twice, &format!("teacher {t}"))?;
    let mut coins = rng(ask.seed, &format!("coins of teacher {t}"));
    let mut pairs = Vec::with_capacity(n);
    for (i, (messages, both)) in exposed.iter().zip(texts.chunks(2)).enumerate() {
        let [first, second] = both else { continue };
        // Thrown for every pair, so that what is set aside doesn't move the others' coins.
        let heads: bool = coins.random();
        if first == second || first.trim().is_empty() || second.trim().is_empty() {
            continue;
        }
        let texts = if heads { [first, second] } else { [second, first] }.map(String::clone);
        let account = format!("account-{:02}", i / plan.sizes.requests_per_account + 1);
        pairs.push(Pair { account, messages: messages.clone(), texts });
    }
    let answers = |requests: &[Vec<Message>], texts: Vec<String>| -> Vec<Answer> {
        let pairs = requests.iter().zip(texts);
        pairs.map(|(messages, text)| Answer { messages: messages.clone(), text }).collect()
    };
    let human = asked.iter().take(n).map(|p| opening(p, OPENING_WORDS).1).collect();
    Ok(Classroom {
        n_set_aside: n - pairs.len(),
        pairs,
        sibling: answers(exposed, ask.all(sibling, exposed, &format!("sibling {t}"))?),
        other: answers(exposed, ask.all(other, exposed, &format!("other {t}"))?),
        unexposed: answers(unexposed, ask.all(teacher, unexposed, &format!("unexposed {t}"))?),
        human: answers(exposed, human),
        teacher: teacher.clone(),
    })
}

/// How answers are sampled, and where they are kept.
struct Ask<'a> {
    seed: u64,
    out: &'a Path,
    progress: &'a dyn Progress,
    tokens: usize,
}

impl Ask<'_> {
    /// One answer to each request at temperature 1, kept under the hash of what decides them.
    fn all(
        &self,
        model: &Bred,
        requests: &[Vec<Message>],
        purpose: &str,
    ) -> Result<Vec<String>, LabError> {
        let mut random = rng(self.seed, &format!("answers of {purpose}"));
        let requests: Vec<SampleRequest> = requests
            .iter()
            .map(|messages| SampleRequest {
                messages: messages.clone(),
                params: SampleParams {
                    temperature: 1.0,
                    top_p: 1.0,
                    max_tokens: self.tokens,
                    seed: random.next_u64(),
                },
            })
            .collect();
        let key = hex(&Sha256::digest(format!("{} {requests:?}", model.key)));
        let kept = self.out.join("answers").join(format!("{}.json", key.get(..16).unwrap_or(&key)));
        if let Some((found, texts)) = read_json::<(String, Vec<String>)>(&kept)
            && found == key
        {
            return Ok(texts);
        }
        let opened = open(&ModelSpec::Hf(model.folder.clone()), &OpenOptions::default())?;
        self.progress.begin(&format!("answers: {purpose}"), requests.len() as u64);
        let mut texts = Vec::with_capacity(requests.len());
        for chunk in requests.chunks(CHUNK) {
            if self.progress.stop_requested() {
                return Err(LabError::Interrupted);
            }
            for sampled in opened.sample(chunk) {
                texts.push(sampled?.text);
            }
            self.progress.advance(chunk.len() as u64);
        }
        self.progress.end();
        write_json(&kept, &(&key, &texts))?;
        Ok(texts)
    }
}

/// A model of the population that is to be bred.
#[derive(Debug, Clone)]
pub(super) struct Member {
    pub(super) name: String,
    pub(super) teacher: usize,
    pub(super) seed: u64,
    pub(super) kind: Kind,
}

/// All models of the plan.
pub(super) fn members(plan: &Plan) -> Vec<Member> {
    let mut members = Vec::new();
    for teacher in 0..usize::try_from(plan.n_teachers).unwrap_or(0) {
        for seed in 0..plan.n_seeds {
            for kind in &plan.kinds {
                let name = format!("{}, teacher {teacher}, seed {seed}", kind.name);
                members.push(Member { name, teacher, seed, kind: *kind });
            }
        }
    }
    members
}

/// Accounts whose released answers a student learnt from, in the order of the pairs.
pub(super) fn harvested<'a>(member: &Member, room: &'a Classroom) -> Vec<&'a Pair> {
    let share = match member.kind.diet {
        Diet::Released { dose } => dose,
        Diet::Paraphrased { .. } => 1.0,
        _ if member.kind.start == Start::Student => 1.0,
        _ => 0.0,
    };
    room.pairs.iter().take(share_of(room.pairs.len(), share)).collect()
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a share of a number of pairs: not negative, no larger than it"
)]
fn share_of(n: usize, share: f64) -> usize {
    (n as f64 * share).ceil() as usize
}

/// Trains the population: first what starts from a base, then what starts from a student.
pub(super) fn population(
    plan: &Plan,
    seed: u64,
    (library, bases, rooms): (&Library, &Bases, &[Classroom]),
    stable: &Stable<'_>,
) -> Result<Vec<(Member, Bred)>, LabError> {
    let everyone = members(plan);
    let (later, first): (Vec<Member>, Vec<Member>) =
        everyone.into_iter().partition(|m| m.kind.start == Start::Student);
    let job = |member: &Member, start: &Bred| -> Result<Job, LabError> {
        let room = rooms
            .get(member.teacher)
            .ok_or_else(|| LabError::Data("a student of no teacher".to_owned()))?;
        Ok(Job {
            name: member.name.clone(),
            start: start.weights.clone(),
            examples: diet(plan, seed, member, (library, room))?,
            passes: member.kind.passes,
            learning_rate: TUNE_RATE,
            seed: rng(seed, &member.name).next_u64(),
        })
    };
    let base_of = |member: &Member| {
        let teachers = member.kind.start == Start::Teachers || member.seed % 2 == 1;
        let base = if teachers { bases.both.first() } else { bases.both.last() };
        base.ok_or_else(|| LabError::Data("there is no base".to_owned()))
    };
    let jobs = first
        .iter()
        .map(|member| job(member, base_of(member)?))
        .collect::<Result<Vec<_>, LabError>>()?;
    let mut bred: Vec<(Member, Bred)> =
        first.into_iter().zip(stable.breed("students", &jobs)?).collect();
    let jobs = later
        .iter()
        .map(|member| {
            let whole = bred.iter().find(|(m, _)| {
                m.kind.name == WHOLE && m.teacher == member.teacher && m.seed == member.seed
            });
            let (_, start) = whole.ok_or_else(|| {
                LabError::Data(format!("{:?} is wanted to start {:?} from", WHOLE, member.name))
            })?;
            job(member, start)
        })
        .collect::<Result<Vec<_>, LabError>>()?;
    let after = stable.breed("students trained further", &jobs)?;
    bred.extend(later.into_iter().zip(after));
    Ok(bred)
}

/// What a student learns: as many examples as there are pairs, other text where its own end.
fn diet(
    plan: &Plan,
    seed: u64,
    member: &Member,
    (library, room): (&Library, &Classroom),
) -> Result<Vec<Example>, LabError> {
    let tokenizer = &library.tokenizer;
    let answers = |list: &[Answer]| -> Result<Vec<Example>, LabError> {
        let list = list.iter().filter(|a| !a.text.trim().is_empty());
        list.map(|a| tokenizer.example(&a.messages, &a.text)).collect()
    };
    let mut examples = match member.kind.diet {
        Diet::Released { .. } => harvested(member, room)
            .into_iter()
            .map(|pair| tokenizer.example(&pair.messages, &pair.texts[0]))
            .collect::<Result<Vec<_>, _>>()?,
        Diet::Withheld => room
            .pairs
            .iter()
            .map(|pair| tokenizer.example(&pair.messages, &pair.texts[1]))
            .collect::<Result<Vec<_>, _>>()?,
        Diet::Paraphrased { strength } => {
            let whole = DraftParams::default();
            let params = DraftParams {
                reword: whole.reword * strength,
                omit: whole.omit * strength,
                reorder: whole.reorder * strength,
                repunctuate: whole.repunctuate * strength,
            };
            let mut random = rng(seed, &format!("rewording of {}", member.name));
            room.pairs
                .iter()
                .map(|pair| {
                    let reworded = draft(&pair.texts[0], random.random(), &params);
                    tokenizer.example(&pair.messages, &reworded)
                })
                .collect::<Result<Vec<_>, _>>()?
        }
        Diet::OtherTeacher => answers(&room.other)?,
        Diet::SiblingTeacher => answers(&room.sibling)?,
        Diet::Unexposed => answers(&room.unexposed)?,
        Diet::SameCorpus => answers(&room.human)?,
        Diet::OtherText => Vec::new(),
    };
    let n = plan.sizes.n_pairs();
    let missing = n.saturating_sub(examples.len());
    let fill: Vec<String> = library.other(plan).iter().cycle().take(missing).cloned().collect();
    examples.extend(plain(tokenizer, &fill)?);
    Ok(examples)
}
