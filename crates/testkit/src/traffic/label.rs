//! What an account of the replay really is.

use std::fmt;

/// Innocents that a naive detector accuses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Class {
    /// An application that asks with one template over its documents, for many tenants.
    RagApplication,
    /// An office: one system prompt, one address, one working day.
    OfficeSharedPrompt,
    /// A class that does one homework.
    ClassHomework,
    /// Engineers who run fixed question sets again and again.
    EvaluationEngineer,
    /// A vendor that translates documents.
    TranslationVendor,
    /// A bot that answers customers round the clock.
    SupportBot,
    /// A plug-in of an editor that thousands use.
    IdePlugin,
    /// Synthetic data by contract.
    LicensedSynthetic,
    /// People who rate the same answers through one tool.
    AnnotationSurvey,
    /// A developer who tries variants of a prompt on the same inputs.
    PromptAbTest,
    /// A firm that writes articles by template.
    ContentMill,
    /// A reader for the blind that many use.
    ScreenReader,
    /// Reports made at night, by one tool at many firms.
    NightlyBatch,
    /// Agents of one framework, run by strangers.
    AgentLoop,
    /// A prompt that hundreds try in the same days.
    ViralPrompt,
}

impl Class {
    /// All of them.
    pub const ALL: [Self; 15] = [
        Self::RagApplication,
        Self::OfficeSharedPrompt,
        Self::ClassHomework,
        Self::EvaluationEngineer,
        Self::TranslationVendor,
        Self::SupportBot,
        Self::IdePlugin,
        Self::LicensedSynthetic,
        Self::AnnotationSurvey,
        Self::PromptAbTest,
        Self::ContentMill,
        Self::ScreenReader,
        Self::NightlyBatch,
        Self::AgentLoop,
        Self::ViralPrompt,
    ];

    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Self::RagApplication => "rag application",
            Self::OfficeSharedPrompt => "office with a shared prompt",
            Self::ClassHomework => "class doing one homework",
            Self::EvaluationEngineer => "evaluation engineer",
            Self::TranslationVendor => "translation vendor",
            Self::SupportBot => "support bot",
            Self::IdePlugin => "ide plug-in",
            Self::LicensedSynthetic => "licensed synthetic data",
            Self::AnnotationSurvey => "annotation survey",
            Self::PromptAbTest => "prompt a/b test",
            Self::ContentMill => "content mill",
            Self::ScreenReader => "screen reader",
            Self::NightlyBatch => "nightly batch",
            Self::AgentLoop => "agent loop",
            Self::ViralPrompt => "viral prompt",
        }
    }
}

/// How a campaign harvests.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// One prompt around a question.
    FixedPrompt,
    /// 500 variants of templates.
    TemplateVariants,
    /// Templates worded anew for each request.
    Paraphrased,
    /// Questions from a bank, without a template.
    QuestionBank,
    /// Asks for the chain of thought.
    ChainOfThought,
    /// Variants, hidden in 30% of unrelated requests.
    Cover30,
    /// Variants, hidden in 50% of unrelated requests.
    Cover50,
    /// Variants, hidden in 80% of unrelated requests.
    Cover80,
    /// 6 to 26 requests a day, by day, over weeks.
    Slow,
    /// All at once.
    Bursty,
    /// Many accounts behind a proxy that changes addresses.
    Hydra,
    /// One queue over all keys in turn, with retries.
    RoundRobin,
    /// The questions of benchmarks.
    Benchmark,
    /// Code.
    Code,
}

impl Kind {
    /// All of them.
    pub const ALL: [Self; 14] = [
        Self::FixedPrompt,
        Self::TemplateVariants,
        Self::Paraphrased,
        Self::QuestionBank,
        Self::ChainOfThought,
        Self::Cover30,
        Self::Cover50,
        Self::Cover80,
        Self::Slow,
        Self::Bursty,
        Self::Hydra,
        Self::RoundRobin,
        Self::Benchmark,
        Self::Code,
    ];

    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Self::FixedPrompt => "fixed prompt",
            Self::TemplateVariants => "500 template variants",
            Self::Paraphrased => "paraphrased templates",
            Self::QuestionBank => "question bank without template",
            Self::ChainOfThought => "chain of thought",
            Self::Cover30 => "variants with 30% cover",
            Self::Cover50 => "variants with 50% cover",
            Self::Cover80 => "variants with 80% cover",
            Self::Slow => "slow (6 to 26 a day)",
            Self::Bursty => "bursty",
            Self::Hydra => "hydra behind proxies",
            Self::RoundRobin => "round robin with retries",
            Self::Benchmark => "benchmark questions",
            Self::Code => "code",
        }
    }
}

/// Three ways to run the same kinds of campaign.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Style {
    /// Scripts: an SDK, cloud machines, one parameter profile, even topics, no follow-ups.
    A,
    /// Disguised: browsers at homes, a day's rhythm, favourite topics, own wording per account.
    B,
    /// A crowd: people paid to paste prompts in office hours and to carry on for a turn or two.
    C,
}

impl fmt::Display for Style {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::A => "a",
            Self::B => "b",
            Self::C => "c",
        })
    }
}

impl Style {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::A, Self::B, Self::C];
}

/// What an account really is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Label {
    /// An ordinary user.
    Ordinary,
    /// An innocent who looks like a campaign; instances of a class are numbered.
    Negative(Class, u32),
    /// A harvester; campaigns are numbered.
    Campaign(Kind, Style, u32),
}

impl Label {
    /// Whether it harvests.
    pub fn harvests(self) -> bool {
        matches!(self, Self::Campaign(..))
    }
}
