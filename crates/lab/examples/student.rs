//! Trains a small student from nothing on a real teacher's log, or an innocent one beside it.
//!
//! ```text
//! cargo run --profile ci -p stillwatch-lab --example student -- \
//!     data/smollm2/smollm2-twins.jsonl.gz OUT --passes 3 [--innocent] [--seed 1]
//! ```
//!
//! Accounts are sorted; the first half are the harvested ones. The student learns from the released
//! answers of the first half and from as much other traffic of the same teacher (the released
//! answers of the second half). The innocent student learns from the second half alone, both its
//! released and its withheld answers, so the sizes agree. Writes the model to `OUT` and the
//! exposures of the first half to `OUT/exposures.jsonl`. Commands and results are in
//! `docs/results/real-teacher.md`.

use std::{error::Error, io::Write as _, path::PathBuf};
use stillwatch_evidence::{Exposure, Silent, read_exposures};
use stillwatch_lab::{
    checkpoint,
    network::{Network, NetworkConfig, fresh_weights},
    tokenizer,
    train::{TrainParams, Trainer},
};

/// Sizes of the student: 0.94 million weights.
const VOCAB_SIZE: usize = 1_280;
const HIDDEN_SIZE: usize = 128;
const INTERMEDIATE_SIZE: usize = 344;
const N_LAYERS: usize = 4;
const N_HEADS: usize = 4;
const MAX_POSITIONS: usize = 512;

struct Arguments {
    exposures: PathBuf,
    out: PathBuf,
    passes: u64,
    innocent: bool,
    seed: u64,
}

fn main() -> Result<(), Box<dyn Error>> {
    let arguments = parse()?;
    let file = read_exposures(&arguments.exposures)?;
    let mut accounts: Vec<&str> =
        file.exposures.iter().filter_map(|e| e.account.as_deref()).collect();
    accounts.sort_unstable();
    accounts.dedup();
    let harvested = &accounts[..accounts.len() / 2];
    let is_harvested = |e: &&Exposure| e.account.as_deref().is_some_and(|a| harvested.contains(&a));
    let (first, second): (Vec<&Exposure>, Vec<&Exposure>) =
        file.exposures.iter().partition(is_harvested);

    let texts: Vec<(&Exposure, &str)> = if arguments.innocent {
        second
            .iter()
            .flat_map(|e| std::iter::once(&e.released).chain(&e.withheld).map(|t| (*e, t.as_str())))
            .collect()
    } else {
        first.iter().chain(&second).map(|e| (*e, e.released.as_str())).collect()
    };
    let tokenizer = tokenizer::train(
        texts.iter().flat_map(|(e, t)| {
            e.messages.iter().map(|m| m.content.as_str()).chain(std::iter::once(*t))
        }),
        VOCAB_SIZE,
    )?;
    let examples = texts
        .iter()
        .map(|(e, t)| tokenizer.example(&e.messages, t))
        .collect::<Result<Vec<_>, _>>()?;
    let n_tokens: usize = examples.iter().map(|e| e.tokens.len() - e.learn_from).sum();

    let config = NetworkConfig {
        vocab_size: VOCAB_SIZE,
        hidden_size: HIDDEN_SIZE,
        intermediate_size: INTERMEDIATE_SIZE,
        n_layers: N_LAYERS,
        n_heads: N_HEADS,
        max_positions: MAX_POSITIONS,
    };
    let weights = fresh_weights(&config, arguments.seed)?;
    let n_weights = weights.len();
    let params =
        TrainParams { n_epochs: arguments.passes, seed: arguments.seed, ..TrainParams::default() };
    let mut trainer = Trainer::new(Network::new(config, weights)?, &examples, params)?;
    let report = trainer.run(&Silent)?;
    let hash = checkpoint::write_model(&arguments.out, trainer.network(), &tokenizer)?;

    let mut lines = Vec::new();
    for exposure in &first {
        serde_json::to_writer(&mut lines, exposure)?;
        lines.push(b'\n');
    }
    fs_err::write(arguments.out.join("exposures.jsonl"), lines)?;
    writeln!(
        std::io::stdout(),
        "{n_weights} weights, {} answers, {n_tokens} answer tokens, {} passes, {} steps, final loss {:.2} nats/token, sha256 {hash}",
        examples.len(),
        arguments.passes,
        report.n_steps,
        report.final_loss,
    )?;
    Ok(())
}

fn parse() -> Result<Arguments, Box<dyn Error>> {
    let mut positional = Vec::new();
    let (mut passes, mut innocent, mut seed) = (1, false, 1);
    let mut args = std::env::args().skip(1);
    while let Some(arg) = args.next() {
        match arg.as_str() {
            "--passes" => passes = args.next().ok_or("--passes needs a number")?.parse()?,
            "--seed" => seed = args.next().ok_or("--seed needs a number")?.parse()?,
            "--innocent" => innocent = true,
            _ => positional.push(PathBuf::from(arg)),
        }
    }
    let [exposures, out] = <[PathBuf; 2]>::try_from(positional)
        .map_err(|_| "usage: student EXPOSURES OUT [--passes N] [--innocent] [--seed S]")?;
    Ok(Arguments { exposures, out, passes, innocent, seed })
}
