//! What the detectors look at in one exchange, borrowed from wherever it came.

/// One exchange, as far as detection needs it. Texts may be cut; empty where unknown.
#[derive(Debug, Clone, Copy, Default)]
#[expect(clippy::struct_excessive_bools, reason = "independent facts of a request")]
pub struct Observation<'a> {
    /// Who asked.
    pub account: &'a str,
    /// The account's plan (stratum); empty where unknown.
    pub plan: &'a str,
    /// When, milliseconds since the epoch.
    pub time_ms: i64,
    /// Model asked for.
    pub model: &'a str,
    /// The system prompt.
    pub system: &'a str,
    /// The last message of the user.
    pub user: &'a str,
    /// The answer.
    pub response: &'a str,
    /// Messages in the request.
    pub n_messages: u32,
    /// Tokens of the prompt (0: unknown).
    pub prompt_tokens: u32,
    /// Tokens of the answer (0: unknown).
    pub completion_tokens: u32,
    /// Limit of tokens asked for.
    pub max_tokens: Option<u32>,
    /// Temperature asked for.
    pub temperature: Option<f32>,
    /// Nucleus asked for.
    pub top_p: Option<f32>,
    /// Whether log-probabilities were asked for.
    pub logprobs: bool,
    /// Whether it was streamed.
    pub stream: bool,
    /// Whether tools were offered.
    pub tools: bool,
    /// Whether it failed: an error status, a refusal, an empty answer. False where unknown.
    pub failed: bool,
    /// Address of the client, as text; empty where unknown.
    pub ip: &'a str,
    /// What the client says that it is; empty where unknown.
    pub user_agent: &'a str,
}
