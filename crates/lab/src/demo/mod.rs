//! The whole chain in one run: author → teacher → student, and an innocent twin of each.
//!
//! An author makes drafts of passages, and a coin publishes one of each. A teacher learns the
//! published ones by heart, an innocent teacher the parent passages that no draft equals. The
//! teacher answers the requests of a dozen accounts; a coin sends one of two answers. A few
//! accounts harvest, and a student learns their traffic; an innocent student learns what the
//! innocent teacher answered to the same requests. Then four audits ask of each model whether
//! it learnt what the coins released. All is computed in the run, from texts inside the
//! program; all requests are fixed before the first coin, so the fixed-n p-value decides.
//!
//! Leaves the tests and verdicts to `stillwatch_audit`, commitments to the ledger of
//! `stillwatch_evidence`, scoring and sampling to `stillwatch_models`.

mod audits;
mod exposing;
mod params;
mod plans;
mod service;
pub(crate) mod texts;
pub(crate) mod workshop;

pub use audits::DemoRow;
pub use params::{DemoCoins, DemoParams, DemoSizes};

use crate::drafts::make_drafts;
use crate::tokenizer::{self, LabTokenizer};
use crate::train::Example;
use crate::{LabError, demo::exposing::Ask};
use rand::SeedableRng as _;
use rand_chacha::ChaCha8Rng;
use std::path::PathBuf;
use std::time::Instant;
use stillwatch_evidence::ledger::{Ledger, SignedHead};
use stillwatch_evidence::{DemoReport, Exposure, Progress};
use workshop::{Job, Made, Workshop, network_config, plain, write_request};

/// What the demo found, beside what is known.
#[derive(Debug, Clone, PartialEq)]
pub struct DemoOutcome {
    /// The contract's JSON.
    pub report: DemoReport,
    /// The same with figures, in the same order, for a table.
    pub rows: Vec<DemoRow>,
    /// The five trainings, in order.
    pub trainings: Vec<DemoTraining>,
    /// Seconds of each phase, in order.
    pub phases: Vec<(&'static str, f64)>,
}

/// One training of the demo.
#[derive(Debug, Clone, PartialEq)]
pub struct DemoTraining {
    /// Name of the model.
    pub name: &'static str,
    /// Its weights.
    pub n_weights: usize,
    /// Updates.
    pub n_steps: u64,
    /// Tokens processed, padding included.
    pub n_tokens: u64,
    /// Mean loss over the last tenth of the updates, nats per token.
    pub final_loss: f64,
    /// Seconds, beside the training that ran at the same time.
    pub seconds: f64,
}

/// Runs the demo.
///
/// # Errors
/// A folder that can't be written, sizes that make no sense, or a failure below.
pub fn run(params: &DemoParams, progress: &dyn Progress) -> Result<DemoOutcome, LabError> {
    let mut clock = Clock::start();
    let files = Files::new(params)?;
    let stage = Stage::set(params)?;
    let workshop =
        Workshop { config: network_config(&params.sizes), tokenizer: &stage.tokenizer, progress };
    let mut ledger = Ledger::create_with(
        &files.ledger,
        params.now,
        exposing::entropy(params.coins, params.seed),
    )?;
    clock.lap("texts and tokeniser");

    let base = stage.train_base(params, &workshop, &files)?;
    let base_hash = service::weights_hash(&files.base)?;
    ledger.record_weights("base", base_hash)?;
    clock.lap("base model");

    let author = stage.publish(params, &mut ledger)?;
    exposing::write_exposures(&files.author, &author.exposures)?;
    let teachers = stage.train_teachers(params, &workshop, &files, (&base, &author))?;
    for (name, folder) in
        [("teacher", &files.teacher), ("innocent teacher", &files.innocent_teacher)]
    {
        ledger.record_weights(name, service::weights_hash(folder)?)?;
    }
    clock.lap("teachers");

    let traffic = service::serve(params, &stage, &files, &mut ledger, progress)?;
    exposing::write_exposures(&files.traffic, &traffic.exposed.exposures)?;
    clock.lap("service");

    let students = stage.train_students(params, &workshop, &files, (&base, &traffic))?;
    clock.lap("students");

    let (report, rows) = audits::run(params, &files, &mut ledger, (&author, &traffic), progress)?;
    clock.lap("audits");
    let made = std::iter::once(&base).chain(&teachers).chain(&students);
    let trainings = made.map(|made| made.training.clone()).collect();
    Ok(DemoOutcome { report, rows, trainings, phases: clock.laps })
}

/// Exposures with the head that covers them.
struct Exposed {
    exposures: Vec<Exposure>,
    head: SignedHead,
}

/// Where everything lies.
struct Files {
    base: PathBuf,
    teacher: PathBuf,
    innocent_teacher: PathBuf,
    student: PathBuf,
    innocent_student: PathBuf,
    ledger: PathBuf,
    author: PathBuf,
    traffic: PathBuf,
    plans: PathBuf,
    cases: PathBuf,
}

impl Files {
    fn new(params: &DemoParams) -> Result<Self, LabError> {
        let out = &params.out_dir;
        fs_err::create_dir_all(out.join("plans"))?;
        let models = out.join("models");
        Ok(Self {
            base: models.join("base"),
            teacher: models.join("teacher"),
            innocent_teacher: models.join("innocent-teacher"),
            student: models.join("student"),
            innocent_student: models.join("innocent-student"),
            ledger: out.join("ledger"),
            author: out.join("author.jsonl"),
            traffic: out.join("traffic.jsonl"),
            plans: out.join("plans"),
            cases: out.join("cases"),
        })
    }
}

/// Texts and tokeniser, fixed before anything is thrown or trained.
struct Stage {
    tokenizer: LabTokenizer,
    /// Other people's text: the base model's, and what is mixed into later trainings.
    base: Vec<String>,
    other: Vec<String>,
    /// The author's parent passages, and passages whose openings are asked for.
    parents: Vec<String>,
    requests: Vec<Ask>,
}

/// Learning rates of the base and of what is trained from it.
const BASE_RATE: f64 = 4e-3;
const TUNE_RATE: f64 = 2e-3;

/// Seeds of the parts, apart from each other.
#[derive(Debug, Clone, Copy)]
#[repr(u64)]
enum Part {
    Drafts = 101,
    BaseWeights,
    Base,
    Teacher,
    InnocentTeacher,
    Student,
    InnocentStudent,
    Answers,
    InnocentAnswers,
}

impl Part {
    /// A generator that no other part uses.
    fn rng(self, seed: u64) -> ChaCha8Rng {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        rng.set_stream(self as u64);
        rng
    }

    fn seed(self, seed: u64) -> u64 {
        rand::RngCore::next_u64(&mut self.rng(seed))
    }
}

impl Stage {
    fn set(params: &DemoParams) -> Result<Self, LabError> {
        let sizes = &params.sizes;
        let tokenizer =
            tokenizer::train(std::iter::once(texts::addresses_text()), sizes.vocab_size)?;
        let fits = |passage: &String| {
            tokenizer.encode(passage).is_ok_and(|t| t.len() + 24 <= sizes.max_positions)
        };
        let addresses: Vec<String> = texts::addresses().into_iter().filter(fits).collect();
        let book: Vec<String> = texts::book().into_iter().filter(fits).collect();
        let n_requests = sizes.n_accounts * sizes.requests_per_account;
        let enough = |what: &str, have: usize, want: usize| {
            if have >= want {
                return Ok(());
            }
            Err(LabError::Data(format!(
                "{what}: {have} passages, {want} are wanted; ask for fewer"
            )))
        };
        enough("addresses", addresses.len(), sizes.n_base)?;
        enough("book", book.len(), sizes.n_parents + n_requests)?;
        let (parents, rest) = book.split_at(sizes.n_parents);
        let requests = (0..n_requests)
            .zip(rest)
            .map(|(i, passage)| Ask {
                id: format!("answer-{i:04}"),
                account: Some(account(i % sizes.n_accounts)),
                messages: workshop::continue_request(passage),
            })
            .collect();
        Ok(Self {
            tokenizer,
            other: addresses.iter().take(sizes.n_other).cloned().collect(),
            base: addresses.into_iter().take(sizes.n_base).collect(),
            parents: parents.to_vec(),
            requests,
        })
    }

    fn train_base(
        &self,
        params: &DemoParams,
        workshop: &Workshop<'_>,
        files: &Files,
    ) -> Result<Made, LabError> {
        let start = workshop.fresh(Part::BaseWeights.seed(params.seed))?;
        let job = Job {
            name: "base",
            folder: &files.base,
            start: &start,
            examples: plain(&self.tokenizer, &self.base)?,
            n_epochs: params.sizes.base_epochs,
            learning_rate: BASE_RATE,
            seed: Part::Base.seed(params.seed),
        };
        one(workshop.train("training the base model", &[job])?)
    }

    /// Drafts of every parent; the ledger's coin publishes one of each.
    fn publish(&self, params: &DemoParams, ledger: &mut Ledger) -> Result<Exposed, LabError> {
        let sizes = &params.sizes;
        let asks: Vec<Ask> = (0..self.parents.len())
            .map(|i| Ask { id: format!("draft-{i:04}"), account: None, messages: write_request() })
            .collect();
        // The coins come first: the ledger vouches that they are older than the texts.
        let openings = exposing::commit(ledger, &asks, sizes.n_drafts, "author")?;
        let mut rng = Part::Drafts.rng(params.seed);
        let texts = self
            .parents
            .iter()
            .map(|parent| make_drafts(parent, sizes.n_drafts, &mut rng, &sizes.drafts))
            .collect::<Result<Vec<_>, _>>()?;
        let (exposures, head) =
            exposing::expose(ledger, (&asks, &openings), &texts, "author", params.now)?;
        Ok(Exposed { exposures, head })
    }

    fn train_teachers(
        &self,
        params: &DemoParams,
        workshop: &Workshop<'_>,
        files: &Files,
        (base, author): (&Made, &Exposed),
    ) -> Result<Vec<Made>, LabError> {
        let published = author.exposures.iter().map(|e| e.released.as_str());
        let parents = self.parents.iter().map(String::as_str);
        let job = |(name, folder), texts: &mut dyn Iterator<Item = &str>, part: Part| {
            let mut examples = plain(&self.tokenizer, &self.other)?;
            for text in texts {
                examples.push(self.tokenizer.example(&write_request(), text)?);
            }
            Ok::<_, LabError>(Job {
                name,
                folder,
                start: &base.weights,
                examples,
                n_epochs: params.sizes.teacher_epochs,
                learning_rate: TUNE_RATE,
                seed: part.seed(params.seed),
            })
        };
        let jobs = [
            job(("teacher", files.teacher.as_path()), &mut { published }, Part::Teacher)?,
            job(
                ("innocent teacher", files.innocent_teacher.as_path()),
                &mut { parents },
                Part::InnocentTeacher,
            )?,
        ];
        workshop.train("training the teacher and an innocent one", &jobs)
    }

    fn train_students(
        &self,
        params: &DemoParams,
        workshop: &Workshop<'_>,
        files: &Files,
        (base, traffic): (&Made, &service::Traffic),
    ) -> Result<Vec<Made>, LabError> {
        let job = |(name, folder), mut examples: Vec<Example>, part: Part| {
            examples.extend(plain(&self.tokenizer, &self.other)?);
            Ok::<_, LabError>(Job {
                name,
                folder,
                start: &base.weights,
                examples,
                n_epochs: params.sizes.student_epochs,
                learning_rate: TUNE_RATE,
                seed: part.seed(params.seed),
            })
        };
        let examples = |pairs: &[service::Answer]| -> Result<Vec<Example>, LabError> {
            pairs.iter().map(|a| self.tokenizer.example(&a.messages, &a.text)).collect()
        };
        let jobs = [
            job(
                ("student", files.student.as_path()),
                examples(&traffic.harvested)?,
                Part::Student,
            )?,
            job(
                ("innocent student", files.innocent_student.as_path()),
                examples(&traffic.innocent)?,
                Part::InnocentStudent,
            )?,
        ];
        workshop.train("training the student and an innocent one", &jobs)
    }
}

/// Name of an account, from 0.
fn account(index: usize) -> String {
    format!("account-{:02}", index + 1)
}

fn one(mut made: Vec<Made>) -> Result<Made, LabError> {
    made.pop().ok_or_else(|| LabError::Data("nothing was trained".to_owned()))
}

/// Seconds per phase.
struct Clock {
    last: Instant,
    laps: Vec<(&'static str, f64)>,
}

impl Clock {
    fn start() -> Self {
        Self { last: Instant::now(), laps: Vec::new() }
    }

    fn lap(&mut self, name: &'static str) {
        self.laps.push((name, self.last.elapsed().as_secs_f64()));
        self.last = Instant::now();
    }
}
