//! Runs the demo once per seed, coins drawn from the seed, and prints one line per audit.
//!
//! `cargo run --profile ci -p stillwatch-lab --example demo_seeds -- FIRST COUNT FOLDER`

#![expect(clippy::print_stdout, reason = "a table is what it is for")]

use stillwatch_evidence::{Silent, VerdictKind};
use stillwatch_lab::demo::{DemoCoins, DemoParams, run};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [first, count, folder] = arguments.as_slice() else {
        return Err("expected: FIRST COUNT FOLDER".into());
    };
    let (first, count): (u64, u64) = (first.parse()?, count.parse()?);
    println!(
        "| seed | audit | verdict | pairs | log10 p | effect | detectable | accounts | as known | s |"
    );
    println!("| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |");
    let (mut false_findings, mut misses, mut others) = (0, 0, 0);
    for seed in first..first + count {
        let out = std::path::Path::new(folder).join(format!("seed-{seed}"));
        let params = DemoParams {
            seed,
            coins: DemoCoins::Seed,
            ..DemoParams::new(out, "2026-01-01T00:00:00Z".parse()?)
        };
        let outcome = run(&params, &Silent)?;
        for (row, audit) in outcome.rows.iter().zip(&outcome.report.audits) {
            let finding = row.result.findings.first();
            let number = |x: Option<f64>| x.map_or_else(|| "–".to_owned(), |x| format!("{x:.2}"));
            println!(
                "| {seed} | {} | {:?} | {} | {} | {} | {} | {} | {} | {:.0} |",
                audit.name,
                audit.verdict,
                row.result.n_pairs,
                number(finding.and_then(|f| f.log10_p_value)),
                number(finding.and_then(|f| f.effect.as_ref()).map(|e| e.estimate)),
                number(finding.and_then(|f| f.min_detectable_effect)),
                audit.accounts_rejected.join(" "),
                if audit.matches() { "yes" } else { "NO" },
                row.seconds
            );
            let found = audit.verdict == VerdictKind::Established;
            let guilty = audit.expected == VerdictKind::Established;
            let named = &audit.accounts_rejected;
            let innocents = named.iter().filter(|a| !audit.accounts_expected.contains(a)).count();
            let missed = audit.accounts_expected.iter().filter(|a| !named.contains(a)).count();
            false_findings += usize::from(found && !guilty) + innocents;
            misses += usize::from(guilty && !found) + missed;
            others += usize::from(!guilty && !found && !audit.matches());
        }
        for t in &outcome.trainings {
            println!(
                "<!-- {}: {} weights, {} tokens, loss {:.2}, {:.0} s -->",
                t.name, t.n_weights, t.n_tokens, t.final_loss, t.seconds
            );
        }
        let phases: Vec<String> =
            outcome.phases.iter().map(|(name, s)| format!("{name} {s:.0} s")).collect();
        println!("<!-- {} -->", phases.join(", "));
    }
    println!(
        "\n{count} seeds: {false_findings} false findings, {misses} misses, {others} audits of innocents without enough power"
    );
    Ok(())
}
