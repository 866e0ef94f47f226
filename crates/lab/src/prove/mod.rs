//! The proving ground: models of known ancestry, and how often each test is right about them.
//!
//! Bases, teachers and students are trained here from texts inside the program, so what each of
//! them learnt is known. Every test of the battery is run on every one of them, and on innocents
//! with tainted references and rigged coins besides. What comes out is power and false-positive
//! rates with their intervals, and a table of the wrongly accused. Everything comes from one
//! seed, coins included: it is a measurement of tests, no evidence about anybody.
//!
//! Small models, one book, answers of at most 32 tokens: the rates are rates of these runs.

mod battery;
mod breed;
mod measure;
mod page;
mod plan;
mod rate;
mod report;
mod score;
mod text;
mod world;

pub use page::html;
pub use plan::{Diet, Kind, MORE, Plan, ProveSizes, QUICK, Start, Truth};
pub use rate::{Rate, clopper_pearson};
pub use report::{
    Cell, KindRow, ModelRow, NeededPairs, PairsPoint, ProveReport, Situation, Size, SizeRow,
    TestRow,
};
pub use text::in_words;

use crate::LabError;
use crate::network::NetworkConfig;
use breed::{Bred, Stable, write_json};
use measure::{Scored, Yardsticks};
use std::path::PathBuf;
use stillwatch_evidence::Progress;
use world::{Bases, Classroom, Library, Member};

/// A run of the proving ground.
#[derive(Debug, Clone, PartialEq)]
pub struct ProveParams {
    /// What is bred.
    pub plan: Plan,
    /// Error rate of each audit.
    pub alpha: f64,
    /// Seed of everything, coins included.
    pub seed: u64,
    /// Coins thrown again over stored scores.
    pub throws: u64,
    /// Threads for training.
    pub n_threads: usize,
    /// Folder for models, scores and the report; what is found there is used.
    pub out_dir: PathBuf,
}

/// Breeds, scores, tests, measures; writes `result.json` and `report.html`.
///
/// # Errors
/// [`LabError::Interrupted`] where the user asked to stop: running again goes on. A folder that
/// can't be written, or a failure below.
pub fn run(params: &ProveParams, progress: &dyn Progress) -> Result<ProveReport, LabError> {
    if !(params.alpha > 0.0 && params.alpha < 1.0) {
        return Err(LabError::Parameter {
            field: "alpha",
            value: params.alpha.to_string(),
            expected: "a number between 0 and 1, both excluded",
        });
    }
    let plan = &params.plan;
    let out = &params.out_dir;
    fs_err::create_dir_all(out)?;
    let library = Library::new(plan)?;
    let stable = Stable {
        folder: out.join("models"),
        config: network_config(&plan.sizes),
        tokenizer: &library.tokenizer,
        tokenizer_sha256: library.tokenizer_sha256.clone(),
        n_threads: params.n_threads,
        progress,
    };
    let bases = world::bases(plan, params.seed, &library, &stable)?;
    let rooms = world::classrooms(plan, params.seed, &library, &bases, &stable, out)?;
    let population = world::population(plan, params.seed, (&library, &bases, &rooms), &stable)?;
    let (everyone, yardsticks) = scores(params, (&bases, &rooms, &population), progress)?;
    let cells = measure::cells(&everyone, &yardsticks, params.alpha, params.seed, progress)?;
    let needed_pairs = measure::pairs_needed(&everyone, &yardsticks, params.alpha, params.seed)?;
    let size = measure::size(
        &everyone,
        &yardsticks,
        params.throws,
        params.seed,
        params.n_threads,
        progress,
    )?;
    let tests = report::test_rows(&cells, plan.n_teachers, params.alpha);
    let power = report::kind_rows(&cells, plan, Truth::Learnt);
    let expectations = report::expectations(&tests, &power, &size, params.alpha);
    let found = bases.both.iter().chain(rooms.iter().map(|r| &r.teacher));
    let report = ProveReport {
        schema: "stillwatch/prove/1",
        plan: plan.clone(),
        n_models: plan.n_models(),
        n_found: found.chain(population.iter().map(|(_, b)| b)).filter(|b| b.found).count(),
        alpha: params.alpha,
        seed: params.seed,
        n_pairs: rooms.iter().map(|r| r.pairs.len()).collect(),
        n_set_aside: rooms.iter().map(|r| r.n_set_aside).collect(),
        models: model_rows(&population),
        wrongly_accused: report::kind_rows(&cells, plan, Truth::Innocent),
        minimum_dose: report::minimum_dose(&power, plan),
        lying_tests: tests.iter().filter(|t| t.lies).map(|t| t.name).collect(),
        as_expected: expectations.iter().all(|(_, holds)| *holds),
        tests,
        power,
        needed_pairs,
        size,
        expectations,
        cells,
    };
    write_json(&out.join("result.json"), &report)?;
    crate::checkpoint::replace(&out.join("report.html"), html(&report).as_bytes())?;
    Ok(report)
}

fn model_rows(population: &[(Member, Bred)]) -> Vec<ModelRow> {
    let row = |(member, bred): &(Member, Bred)| ModelRow {
        name: member.name.clone(),
        key: bred.key.clone(),
        final_loss: bred.final_loss,
    };
    population.iter().map(row).collect()
}

fn network_config(sizes: &ProveSizes) -> NetworkConfig {
    NetworkConfig {
        vocab_size: sizes.vocab_size,
        hidden_size: sizes.hidden_size,
        intermediate_size: sizes.intermediate_size,
        n_layers: sizes.n_layers,
        n_heads: sizes.n_heads,
        max_positions: sizes.max_positions,
    }
}

/// Scores of everybody by whom they are measured.
fn scores<'a>(
    params: &ProveParams,
    (bases, rooms, population): (&Bases, &'a [Classroom], &'a [(Member, Bred)]),
    progress: &dyn Progress,
) -> Result<(Vec<Scored<'a>>, Vec<Yardsticks>), LabError> {
    let out = &params.out_dir;
    let n = rooms.iter().map(|r| r.pairs.len() as u64 * 2).sum::<u64>()
        + population
            .iter()
            .filter_map(|(m, _)| rooms.get(m.teacher))
            .map(|r| r.pairs.len() as u64)
            .sum::<u64>();
    progress.begin("scoring pairs", n);
    let mut everyone = Vec::new();
    for (member, bred) in population {
        let Some(room) = rooms.get(member.teacher) else { continue };
        let suspect = score::score(bred, room, out, progress)?;
        everyone.push(Scored { member, room, suspect });
    }
    let mut yardsticks = Vec::new();
    for (t, room) in rooms.iter().enumerate() {
        let base = bases.both.first();
        let base = base.ok_or_else(|| LabError::Data("there is no base".to_owned()))?;
        let of = |name: &str| {
            everyone.iter().find(|s| s.member.teacher == t && s.member.kind.name == name)
        };
        let withheld = everyone
            .iter()
            .find(|s| s.member.teacher == t && s.member.kind.truth == Truth::Reference);
        let tainted = of(plan::WHOLE)
            .zip(withheld)
            .map(|(released, withheld)| (released.suspect.clone(), withheld.suspect.clone()));
        yardsticks.push(Yardsticks {
            teacher: score::score(&room.teacher, room, out, progress)?,
            base: score::score(base, room, out, progress)?,
            tainted,
        });
    }
    progress.end();
    Ok((everyone, yardsticks))
}
