//! Finds out once what an endpoint can do, with texts of our own that say nothing.
//!
//! One request finds the way to sample (chat, else legacy completions); then each way to score
//! is tried, the best first, until one gives log-probabilities that demonstrably belong to the
//! text that was sent. A server may accept a parameter and ignore it (llama-server does so with
//! `echo`), so only what comes back counts. No way: the endpoint offers sampling alone.

use super::{
    http::{Endpoint, Failure},
    sample::{SamplingRoute, sample},
    score::{PromptCache, ScoringRoute, echo_is_in_step, score},
    wire::LengthField,
};
use crate::{SampleParams, SampleRequest, ScoreRequest};
use stillwatch_evidence::Message;

/// What an endpoint can do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Capabilities {
    pub(super) sampling: SamplingRoute,
    pub(super) length: LengthField,
    pub(super) scoring: Option<ScoringRoute>,
    /// Whether a way to score was refused because its numbers belong to other tokens.
    pub(super) is_out_of_step: bool,
}

/// Asks the endpoint.
pub(super) async fn probe(endpoint: &Endpoint) -> Result<Capabilities, Failure> {
    let (sampling, length) = sampling(endpoint).await?;
    let (scoring, is_out_of_step) = scoring(endpoint).await?;
    Ok(Capabilities { sampling, length, scoring, is_out_of_step })
}

fn question() -> Vec<Message> {
    vec![Message { role: "user".to_owned(), content: "Count from one to three.".to_owned() }]
}

async fn sampling(endpoint: &Endpoint) -> Result<(SamplingRoute, LengthField), Failure> {
    use LengthField::{MaxCompletionTokens, MaxTokens};
    let request = SampleRequest {
        messages: question(),
        params: SampleParams { temperature: 1.0, top_p: 1.0, max_tokens: 1, seed: 0 },
    };
    let ways = [
        (SamplingRoute::Chat, MaxTokens),
        (SamplingRoute::Chat, MaxCompletionTokens),
        (SamplingRoute::Completions, MaxTokens),
    ];
    let mut first = None;
    for (route, length) in ways {
        if length == MaxCompletionTokens && !wants_other_length(first.as_ref()) {
            continue;
        }
        match sample(endpoint, route, length, &request).await {
            Ok(_) => return Ok((route, length)),
            Err(failure) if is_not_offered(&failure) => {
                first.get_or_insert(failure);
            }
            Err(failure) => return Err(opening(failure)),
        }
    }
    Err(match first {
        Some(Failure::Request(message)) => Failure::Unusable {
            message,
            hint: "it answers neither chat/completions nor completions: check URL and model"
                .to_owned(),
        },
        Some(failure) => opening(failure),
        None => Failure::Lost { message: "the endpoint was not asked".to_owned(), status: None },
    })
}

/// The way to score, and whether one was refused because it is out of step.
async fn scoring(endpoint: &Endpoint) -> Result<(Option<ScoringRoute>, bool), Failure> {
    let request =
        ScoreRequest { messages: question(), answer: "One, two, three. That is all.".to_owned() };
    let prompts = PromptCache::default();
    for route in ScoringRoute::ALL {
        match score(endpoint, route, &prompts, &request).await {
            // One token for all of it would not be a tokeniser's work.
            Ok(scored) if scored.n_tokens() > 1 => {
                if let ScoringRoute::Echo { max_tokens } = route
                    && !echo_is_in_step(endpoint, max_tokens).await.map_err(opening)?
                {
                    return Ok((None, true));
                }
                return Ok((Some(route), false));
            }
            Ok(_) => {}
            Err(failure) if is_not_offered(&failure) => {}
            Err(failure) => return Err(opening(failure)),
        }
    }
    Ok((None, false))
}

/// Whether this way doesn't exist there, as opposed to an endpoint that can't be reached.
/// Answers that lack what was asked for end as [`Failure::Lost`] with status 200; some servers
/// answer 500 to parameters that they don't know.
fn is_not_offered(failure: &Failure) -> bool {
    matches!(
        failure,
        Failure::Request(_)
            | Failure::Unknown { .. }
            | Failure::Lost { status: Some(200 | 500), .. }
    )
}

fn wants_other_length(failure: Option<&Failure>) -> bool {
    matches!(failure, Some(Failure::Request(said)) if said.contains("max_completion_tokens"))
}

/// What a failure means before anything was done.
fn opening(failure: Failure) -> Failure {
    match failure {
        Failure::Lost { message, status: None } => Failure::Unusable {
            message,
            hint: "start the server, or correct the address in the model string".to_owned(),
        },
        Failure::Lost { message, status: Some(200) } => Failure::Unusable {
            message,
            hint: "this is no OpenAI-compatible API; the base URL usually ends in /v1".to_owned(),
        },
        other => other,
    }
}
