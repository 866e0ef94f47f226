//! How accounts behave, as numbers that a test can permute: none looks at the signature that a
//! campaign is known by.
//!
//! Where the signature is text, what a text may ask for (reasoning, a length) is left out; where
//! it is networks, their number is. Values become ranks within strata, so that scales and outliers
//! don't matter; what isn't known of an account in a week is the middle rank.

use super::signature::Signature;
use stillwatch_traffic::{AccountSketch, KeptPrompt};

/// Kept prompts from which a value is known.
const PROMPTS_MIN: usize = 3;
/// Seconds of a week.
const WEEK_S: u32 = 7 * 86_400;

/// What is looked at of an account.
#[derive(Debug, Clone)]
pub(super) struct Account {
    pub(super) prompts: Vec<KeptPrompt>,
    n_networks: usize,
    pub(super) client: Option<u32>,
}

impl Account {
    pub(super) fn of(sketch: &AccountSketch) -> Self {
        Self {
            prompts: sketch.kept_prompts(),
            n_networks: sketch.kept_networks().count(),
            client: sketch.client(),
        }
    }
}

/// One side of conduct, larger for harvesting.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Side {
    /// Never asks the same twice.
    New,
    /// Never continues, never comes back to an answer.
    NoDepth,
    /// Asks at all hours alike.
    NoNight,
    /// Prompts of one length.
    EvenLengths,
    /// Long answers.
    LongAnswers,
    /// Asks for the reasoning.
    Reasoning,
    /// Many subjects.
    Subjects,
    /// Many networks.
    Networks,
}

const ALL: [Side; 8] = [
    Side::New,
    Side::NoDepth,
    Side::NoNight,
    Side::EvenLengths,
    Side::LongAnswers,
    Side::Reasoning,
    Side::Subjects,
    Side::Networks,
];

/// The sides that don't depend on what the signature is made of.
pub(super) fn sides(signature: &Signature) -> Vec<Side> {
    let left_out: &[Side] = match signature {
        Signature::Text(_) => &[Side::EvenLengths, Side::LongAnswers, Side::Reasoning],
        Signature::Networks(_) => &[Side::Networks],
        Signature::Client(_) => &[],
    };
    ALL.into_iter().filter(|side| !left_out.contains(side)).collect()
}

/// Width of [`client`]'s and [`parameters`]' codes.
pub(super) const CODE: usize = 32;
/// Width of [`hours`].
pub(super) const HOURS: usize = 8;

/// Signs made of a hash: two different hashes' codes have a product near 0, equal ones' 1.
pub(super) fn code(hash: Option<u32>) -> [f64; CODE] {
    let mut state = u64::from(hash.unwrap_or(0)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    std::array::from_fn(|_| {
        // SplitMix64 (Steele, Lea and Flood 2014).
        state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        let sign = if (z ^ (z >> 31)) & 1 == 0 { 1.0 } else { -1.0 };
        // An unknown client is like nobody's.
        if hash.is_none() { 0.0 } else { sign / (CODE as f64).sqrt() }
    })
}

/// Shares of the kept prompts by time of the day, less an even spread.
pub(super) fn hours(account: &Account) -> [f64; HOURS] {
    let mut shares = [0.0; HOURS];
    let mut n = 0.0f64;
    for prompt in &account.prompts {
        if let Some(share) = shares.get_mut(prompt.time_s as usize / 3600 % 24 * HOURS / 24) {
            *share += 1.0;
            n += 1.0;
        }
    }
    shares.map(|share| share / n.max(1.0) - 1.0 / HOURS as f64)
}

/// The week of a time, counted from the epoch.
pub(super) fn week(time_s: u32) -> u32 {
    time_s / WEEK_S
}

/// The value of an account, in one week or over all; none where too little is known.
pub(super) fn value(side: Side, account: &Account, of_week: Option<u32>) -> Option<f64> {
    if side == Side::Networks {
        return of_week.is_none().then_some(account.n_networks as f64);
    }
    let in_week = |p: &&KeptPrompt| of_week.is_none_or(|w| week(p.time_s) == w);
    let prompts: Vec<KeptPrompt> = account.prompts.iter().filter(in_week).copied().collect();
    let n = prompts.len() as f64;
    if prompts.len() < PROMPTS_MIN {
        return None;
    }
    let share =
        |of: &dyn Fn(&KeptPrompt) -> bool| prompts.iter().filter(|p| of(p)).count() as f64 / n;
    Some(match side {
        Side::New => share(&|p| p.n == 1),
        Side::NoDepth => share(&|p| p.n_messages <= 2 && !p.uses_answer),
        Side::NoNight => flatness(&prompts),
        Side::EvenLengths => -spread(&prompts),
        Side::LongAnswers => mean(prompts.iter().map(|p| log2(p.answer_tokens))),
        Side::Reasoning => share(&|p| p.asks_reasoning),
        Side::Subjects => subjects(&prompts),
        Side::Networks => 0.0,
    })
}

/// The value of one prompt, for the sides that a single prompt shows.
pub(super) fn value_of_prompt(side: Side, prompt: &KeptPrompt) -> Option<f64> {
    let flag = |on: bool| Some(f64::from(u8::from(on)));
    match side {
        Side::New => flag(prompt.n == 1),
        Side::NoDepth => flag(prompt.n_messages <= 2 && !prompt.uses_answer),
        Side::LongAnswers => Some(f64::from(prompt.answer_tokens)),
        Side::Reasoning => flag(prompt.asks_reasoning),
        Side::NoNight | Side::EvenLengths | Side::Subjects | Side::Networks => None,
    }
}

/// Ranks of values among each other, from −1/2 to 1/2, ties in the middle of their ranks; unknown
/// ones 0.
pub(super) fn centred_ranks(values: &[Option<f64>]) -> Vec<f64> {
    let mut known: Vec<f64> = values.iter().flatten().copied().collect();
    known.sort_unstable_by(f64::total_cmp);
    let n = known.len() as f64;
    values
        .iter()
        .map(|value| {
            let Some(value) = value else { return 0.0 };
            let below = known.partition_point(|k| k.total_cmp(value).is_lt());
            let not_above = known.partition_point(|k| k.total_cmp(value).is_le());
            (below + not_above) as f64 / (2.0 * n) - 0.5
        })
        .collect()
}

fn mean(values: impl Iterator<Item = f64>) -> f64 {
    let (mut sum, mut n) = (0.0, 0.0f64);
    for value in values {
        sum += value;
        n += 1.0;
    }
    sum / n.max(1.0)
}

fn log2(value: u16) -> f64 {
    (f64::from(value) + 1.0).log2()
}

/// Standard deviation of the logarithm of prompt lengths.
fn spread(prompts: &[KeptPrompt]) -> f64 {
    let middle = mean(prompts.iter().map(|p| log2(p.words)));
    mean(prompts.iter().map(|p| (log2(p.words) - middle).powi(2))).sqrt()
}

/// Chance that two prompts fall into different hours of the day, without bias from their number.
fn flatness(prompts: &[KeptPrompt]) -> f64 {
    let mut hours: Vec<u32> = prompts.iter().map(|p| p.time_s / 3600 % 24).collect();
    1.0 - collision(&mut hours, usize::MAX)
}

/// Chance that content words of two prompts differ; words of a frame around all of them apart.
fn subjects(prompts: &[KeptPrompt]) -> f64 {
    let mut words: Vec<u32> =
        prompts.iter().flat_map(|p| p.topics).filter(|t| *t != 0).map(u32::from).collect();
    1.0 - collision(&mut words, (prompts.len() / 5).max(1))
}

/// Chance that two labels agree; labels met more often than `most` don't count as equal.
fn collision(labels: &mut [u32], most: usize) -> f64 {
    labels.sort_unstable();
    let n = labels.len() as f64;
    let equal: f64 = labels
        .chunk_by(|a, b| a == b)
        .filter(|group| group.len() <= most)
        .map(|group| group.len() as f64 * (group.len() as f64 - 1.0))
        .sum();
    if n < 2.0 { 1.0 } else { equal / (n * (n - 1.0)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranks_are_centred_and_ties_share() {
        let ranks = centred_ranks(&[Some(3.0), None, Some(1.0), Some(3.0), Some(9.0)]);
        assert_eq!(ranks, [0.0, 0.0, -0.375, 0.0, 0.375]);
        assert!(centred_ranks(&[]).is_empty());
    }

    #[test]
    fn what_a_text_may_ask_for_is_left_out_of_its_test() {
        let text = sides(&Signature::Text(vec![1]));
        assert!(!text.contains(&Side::Reasoning) && text.contains(&Side::NoDepth));
        assert!(!sides(&Signature::Networks(vec![1])).contains(&Side::Networks));
        assert_eq!(sides(&Signature::Client(1)).len(), ALL.len());
    }
}
