//! Adds up over seeds, and prints.

use super::{Flagged, clopper_pearson};
use crate::traffic::{Class, Kind, Label, Style};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::{self, Write as _};

/// So many of so many.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Score {
    /// Hits.
    pub hits: u64,
    /// Out of.
    pub n: u64,
}

impl Score {
    fn add(&mut self, hit: bool) {
        self.hits += u64::from(hit);
        self.n += 1;
    }

    fn plus(self, other: Self) -> Self {
        Self { hits: self.hits + other.hits, n: self.n + other.n }
    }

    /// The share.
    pub fn share(self) -> f64 {
        self.hits as f64 / self.n.max(1) as f64
    }
}

impl fmt::Display for Score {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (low, high) = clopper_pearson(self.hits, self.n);
        let [share, low, high] = [self.share(), low, high].map(|x| 100.0 * x);
        if self.n == 0 {
            return f.write_str("none");
        }
        write!(f, "{}/{} {share:.1}% ({low:.1}–{high:.1})", self.hits, self.n)
    }
}

/// What came of a detector over several replays.
#[derive(Debug, Clone, Default)]
pub struct Tally {
    /// Harvesting accounts found, by kind and style.
    pub campaigns: BTreeMap<(Kind, Style), Score>,
    /// Innocents hit, by class.
    pub classes: BTreeMap<Class, Score>,
    /// Ordinary users hit.
    pub ordinary: Score,
    /// Flagged groups in which harvesters are no majority.
    pub false_groups: Score,
    /// Members of flagged groups who are innocent.
    pub innocent_members: Score,
    /// Replays.
    pub replays: u64,
}

impl Tally {
    /// Adds a replay. Accounts that never asked don't count.
    pub fn add(
        &mut self,
        labels: &BTreeMap<String, Label>,
        seen: &BTreeSet<String>,
        flagged: &Flagged,
    ) {
        self.replays += 1;
        for (account, label) in labels.iter().filter(|(account, _)| seen.contains(*account)) {
            let hit = flagged.accounts.contains(account);
            match label {
                Label::Ordinary => self.ordinary.add(hit),
                Label::Negative(class, _) => self.classes.entry(*class).or_default().add(hit),
                Label::Campaign(kind, style, _) => {
                    self.campaigns.entry((*kind, *style)).or_default().add(hit);
                }
            }
        }
        for group in &flagged.groups {
            let harvesters =
                group.iter().filter(|a| labels.get(*a).is_some_and(|l| l.harvests())).count();
            self.false_groups.add(2 * harvesters <= group.len());
            for account in group {
                self.innocent_members.add(!labels.get(account).is_some_and(|l| l.harvests()));
            }
        }
    }

    /// Harvesting accounts found, all kinds of a style.
    pub fn found(&self, style: Style) -> Score {
        let of_style = self.campaigns.iter().filter(|((_, s), _)| *s == style);
        of_style.fold(Score::default(), |sum, (_, score)| sum.plus(*score))
    }

    /// Innocents hit, ordinary ones and all classes.
    pub fn innocents(&self) -> Score {
        self.classes.values().fold(self.ordinary, |sum, score| sum.plus(*score))
    }
}

/// Tables in Markdown: a column for each tally.
pub fn tables(columns: &[(String, &Tally)]) -> String {
    let mut out = String::new();
    let _infallible = write_tables(&mut out, columns);
    out
}

fn write_tables(out: &mut String, columns: &[(String, &Tally)]) -> fmt::Result {
    let kinds: BTreeSet<(Style, Kind)> =
        columns.iter().flat_map(|(_, t)| t.campaigns.keys().map(|(k, s)| (*s, *k))).collect();
    let classes: BTreeSet<Class> =
        columns.iter().flat_map(|(_, t)| t.classes.keys().copied()).collect();
    head(out, "harvesting accounts found", columns)?;
    for style in Style::ALL {
        for (_, kind) in kinds.iter().filter(|(s, _)| *s == style) {
            row(out, &format!("{style}: {}", kind.name()), columns, |t| {
                t.campaigns.get(&(*kind, style)).copied().unwrap_or_default()
            })?;
        }
        if kinds.iter().any(|(s, _)| *s == style) {
            row(out, &format!("**{style}: all**"), columns, |t| t.found(style))?;
        }
    }
    writeln!(out)?;
    head(out, "innocents hit", columns)?;
    row(out, "ordinary", columns, |t| t.ordinary)?;
    for class in classes {
        row(out, class.name(), columns, |t| t.classes.get(&class).copied().unwrap_or_default())?;
    }
    row(out, "**all innocents**", columns, Tally::innocents)?;
    row(out, "flagged groups without a majority of harvesters", columns, |t| t.false_groups)?;
    row(out, "innocent members of flagged groups", columns, |t| t.innocent_members)
}

fn head(out: &mut String, what: &str, columns: &[(String, &Tally)]) -> fmt::Result {
    write!(out, "| {what} |")?;
    columns.iter().try_for_each(|(name, _)| write!(out, " {name} |"))?;
    write!(out, "\n| --- |")?;
    columns.iter().try_for_each(|_| write!(out, " --- |"))?;
    writeln!(out)
}

fn row(
    out: &mut String,
    name: &str,
    columns: &[(String, &Tally)],
    score: impl Fn(&Tally) -> Score,
) -> fmt::Result {
    write!(out, "| {name} |")?;
    for (_, tally) in columns {
        write!(out, " {} |", score(tally))?;
    }
    writeln!(out)
}
