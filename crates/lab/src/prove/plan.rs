//! Which models are bred: kinds of ancestry, each known because it is made here.
//!
//! A kind is one line of [`QUICK`] or [`MORE`]; a new one is one line more.

use serde::Serialize;

/// What a student learns from.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
#[serde(rename_all = "snake_case", tag = "of")]
pub enum Diet {
    /// The teacher's released answers, as this share of the diet; the rest is other text.
    Released {
        /// Share, 0 to 1.
        dose: f64,
    },
    /// Released answers, reworded by rule at this strength.
    Paraphrased {
        /// Scale of all probabilities of a change, 0 to 1.
        strength: f64,
    },
    /// The siblings that were not sent.
    Withheld,
    /// Another teacher's answers to the same requests.
    OtherTeacher,
    /// A sibling teacher's answers to the same requests: same base and texts, other seed.
    SiblingTeacher,
    /// The teacher's answers to other requests.
    Unexposed,
    /// What the book itself says after the same requests.
    SameCorpus,
    /// Other people's text alone.
    OtherText,
}

/// Which base a student starts from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Start {
    /// The teacher's base in odd seeds, the other in even ones.
    Crossed,
    /// The base that the teacher was made from.
    Teachers,
    /// The student of the whole diet, trained further.
    Student,
}

/// What is true of a model.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Truth {
    /// Its weights depend on the coins.
    Learnt,
    /// They don't.
    Innocent,
    /// It isn't a suspect: it serves as a tainted reference.
    Reference,
}

/// One kind of ancestry.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Kind {
    /// Its name.
    pub name: &'static str,
    /// What is true of it.
    pub truth: Truth,
    /// What it learns from.
    pub diet: Diet,
    /// Passes over it.
    pub passes: u64,
    /// Where it starts.
    pub start: Start,
}

const fn kind(name: &'static str, truth: Truth, diet: Diet, start: Start) -> Kind {
    Kind { name, truth, diet, passes: PASSES, start }
}

/// Passes of a student over its diet.
const PASSES: u64 = 6;

use Diet::{
    OtherTeacher, OtherText, Paraphrased, Released, SameCorpus, SiblingTeacher, Unexposed, Withheld,
};
use Start::{Crossed, Student, Teachers};
use Truth::{Innocent, Learnt, Reference};

/// The student that [`Start::Student`] goes on from.
pub(super) const WHOLE: &str = "distilled 100%";

/// The kinds of `--quick`: with one teacher and one seed, twelve models.
pub const QUICK: [Kind; 12] = [
    kind(WHOLE, Learnt, Released { dose: 1.0 }, Crossed),
    kind("distilled 20%", Learnt, Released { dose: 0.2 }, Crossed),
    kind("distilled 5%", Learnt, Released { dose: 0.05 }, Crossed),
    kind("distilled 1%", Learnt, Released { dose: 0.01 }, Crossed),
    kind("paraphrased by rule", Learnt, Paraphrased { strength: 1.0 }, Crossed),
    Kind { passes: 2, ..kind("fine-tuned after", Learnt, OtherText, Student) },
    kind("another teacher", Innocent, OtherTeacher, Crossed),
    kind("unexposed traffic", Innocent, Unexposed, Crossed),
    kind("sibling teacher", Innocent, SiblingTeacher, Crossed),
    kind("same corpus", Innocent, SameCorpus, Crossed),
    kind("same initialisation", Innocent, OtherText, Teachers),
    kind("saw the withheld side", Reference, Withheld, Crossed),
];

/// What `--full` breeds besides.
pub const MORE: [Kind; 4] = [
    Kind { passes: 1, ..kind("distilled 100%, 1 pass", Learnt, Released { dose: 1.0 }, Crossed) },
    Kind { passes: 3, ..kind("distilled 100%, 3 passes", Learnt, Released { dose: 1.0 }, Crossed) },
    kind("paraphrased lightly", Learnt, Paraphrased { strength: 0.25 }, Crossed),
    kind("paraphrased half", Learnt, Paraphrased { strength: 0.5 }, Crossed),
];

/// How many models, of which kinds, and how large.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Plan {
    /// Its name.
    pub name: &'static str,
    /// The kinds.
    pub kinds: Vec<Kind>,
    /// Teachers.
    pub n_teachers: u64,
    /// Students of each kind and teacher.
    pub n_seeds: u64,
    /// Sizes.
    pub sizes: ProveSizes,
}

/// Sizes of the proving ground.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ProveSizes {
    /// Tokens in the vocabulary.
    pub vocab_size: usize,
    /// Width of the models.
    pub hidden_size: usize,
    /// Width of their feed-forward layers.
    pub intermediate_size: usize,
    /// Their blocks.
    pub n_layers: usize,
    /// Their heads.
    pub n_heads: usize,
    /// Longest sequence, tokens.
    pub max_positions: usize,
    /// Passages of other people's text that a base learns from.
    pub n_base: usize,
    /// Passes over them.
    pub base_passes: u64,
    /// Passages that a teacher learns by heart.
    pub n_parents: usize,
    /// Passes over them.
    pub teacher_passes: u64,
    /// Accounts of the teacher's service.
    pub n_accounts: usize,
    /// Requests of each, one exposed pair each.
    pub requests_per_account: usize,
    /// Longest answer, tokens.
    pub answer_tokens: usize,
}

impl Default for ProveSizes {
    fn default() -> Self {
        Self {
            vocab_size: 1024,
            hidden_size: 96,
            intermediate_size: 256,
            n_layers: 3,
            n_heads: 3,
            max_positions: 112,
            n_base: 1200,
            base_passes: 2,
            n_parents: 150,
            teacher_passes: 5,
            n_accounts: 12,
            requests_per_account: 20,
            answer_tokens: 32,
        }
    }
}

impl ProveSizes {
    /// Exposed pairs, and examples of a student's diet.
    pub fn n_pairs(&self) -> usize {
        self.n_accounts * self.requests_per_account
    }
}

impl Plan {
    /// Twelve models.
    pub fn quick() -> Self {
        Self {
            name: "quick",
            kinds: QUICK.to_vec(),
            n_teachers: 1,
            n_seeds: 1,
            sizes: ProveSizes::default(),
        }
    }

    /// 4 teachers × 2 seeds × 16 kinds = 128 models.
    pub fn full() -> Self {
        Self {
            name: "full",
            kinds: QUICK.into_iter().chain(MORE).collect(),
            n_teachers: 4,
            n_seeds: 2,
            sizes: ProveSizes::default(),
        }
    }

    /// Models of the population; bases and teachers come besides.
    pub fn n_models(&self) -> u64 {
        self.kinds.len() as u64 * self.n_teachers * self.n_seeds
    }
}
