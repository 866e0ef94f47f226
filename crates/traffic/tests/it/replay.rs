//! Campaigns are found, innocents are spared.

use crate::world::{INNOCENTS, KINDS, Random, Sent, campaign, innocents, people};
use stillwatch_traffic::{Analysis, analyse_exchanges};

pub(crate) fn analysis(mut sent: Vec<Sent>) -> Analysis {
    sent.sort_by_key(|s| s.time_ms);
    analyse_exchanges(sent.iter().map(Sent::observation), &[9; 32])
}

fn flagged<'a>(analysis: &'a Analysis, prefix: &'a str) -> impl Iterator<Item = &'a str> {
    analysis
        .accounts
        .iter()
        .filter(move |a| a.flagged && a.account.starts_with(prefix))
        .map(|a| a.account.as_str())
}

#[test]
fn every_kind_of_campaign_among_all_innocents() {
    let seed =
        std::env::var_os("SEED").and_then(|s| s.to_str().and_then(|s| s.parse().ok())).unwrap_or(1);
    let mut r = Random(seed);
    let days = 14;
    let mut sent = people(&mut r, 800, days);
    for class in INNOCENTS {
        sent.extend(innocents(&mut r, class, 25, days));
    }
    for kind in KINDS {
        sent.extend(campaign(&mut r, kind, &format!("{kind:?}"), 40, 40, days));
    }
    eprintln!("{} exchanges", sent.len());
    let t = std::time::Instant::now();
    let analysis = analysis(sent);
    eprintln!("took {:?}", t.elapsed());
    for c in &analysis.campaigns {
        let measures: Vec<String> = c.measures.iter().map(|(k, v)| format!("{k}={v:.3}")).collect();
        let marks: Vec<&str> = c.reasons.iter().map(|r| r.code.as_str()).collect();
        eprintln!(
            "{} {} {:?} {marks:?}\n    {}",
            c.flagged,
            c.accounts[0],
            c.accounts.len(),
            measures.join(" ")
        );
    }
    for kind in KINDS {
        eprintln!("{kind:?}: {}", flagged(&analysis, &format!("{kind:?}")).count());
    }
    for class in INNOCENTS.iter().chain(&["person"]) {
        eprintln!("{class}: {}", flagged(&analysis, class).count());
    }
}
