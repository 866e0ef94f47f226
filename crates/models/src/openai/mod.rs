//! OpenAI-compatible endpoints: sampling, and scoring where the server can.
//!
//! [`OpenAiModel`] asks once what the server can do, then runs requests concurrently on a
//! private runtime behind the synchronous [`Model`] trait, within a budget, with bounded
//! retries. The key is passed in and never shown. Caching, pairing and what a failure means for
//! a pair are left to the callers.

mod align;
mod dispatch;
mod http;
mod options;
mod probe;
mod retry;
mod sample;
mod score;
mod sse;
mod wire;

pub use options::EndpointOptions;
pub use sample::SamplingRoute;
pub use score::ScoringRoute;

use crate::{
    AccessLevel, Meter, Model, ModelError, ModelIdentity, ModelSpec, SampleRequest, Sampled,
    ScoreRequest, Scored,
};
use dispatch::run_all;
use http::{Endpoint, Failure, unusable};
use probe::Capabilities;
use score::PromptCache;
use sha2::{Digest, Sha256};
use std::{
    fmt,
    future::Future,
    sync::{Arc, mpsc},
};
use tokio::runtime::Runtime;

/// Threads of the private runtime; they only move bytes.
const WORKER_THREADS: usize = 2;

/// Installs the TLS provider that endpoints use. Call it first in `main`; again is harmless.
pub fn install_tls_provider() {
    // The error says that one is installed already.
    drop(rustls::crypto::ring::default_provider().install_default());
}

/// A model behind an OpenAI-compatible endpoint.
pub struct OpenAiModel {
    endpoint: Arc<Endpoint>,
    prompts: Arc<PromptCache>,
    capabilities: Capabilities,
    identity: ModelIdentity,
    runtime: Option<Runtime>,
}

impl OpenAiModel {
    /// Opens `model` at `base_url` (with `/v1`) and asks what it can do. The budget is this
    /// model's own.
    pub fn connect(
        base_url: &str,
        model: &str,
        options: &EndpointOptions,
    ) -> Result<Self, ModelError> {
        let meter = Meter::new(&options.budget)
            .map_err(|error| unusable(&error.to_string(), "correct the budget"))?;
        Self::connect_metered(base_url, model, options, meter)
    }

    /// As [`Self::connect`], drawing on an account that other models may share;
    /// [`EndpointOptions::budget`] is not looked at.
    pub fn connect_metered(
        base_url: &str,
        model: &str,
        options: &EndpointOptions,
        meter: Meter,
    ) -> Result<Self, ModelError> {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(WORKER_THREADS)
            .thread_name("stillwatch-http")
            .enable_all()
            .build()
            .map_err(|error| {
                unusable(&format!("can't start threads: {error}"), "free some resources")
            })?;
        let endpoint = Arc::new(Endpoint::new(base_url, model, options, meter)?);
        let probed = Arc::clone(&endpoint);
        let capabilities = block_on(&runtime, async move { probe::probe(&probed).await })
            .unwrap_or_else(|| Err(worker_failed()))?;
        endpoint.opened();
        Ok(Self {
            identity: identity(base_url, model, &capabilities),
            endpoint,
            prompts: Arc::default(),
            capabilities,
            runtime: Some(runtime),
        })
    }

    /// The account of what was spent, for all models that share it.
    pub fn meter(&self) -> &Meter {
        self.endpoint.meter()
    }

    /// How it scores; `None`: it only samples.
    pub fn scoring_route(&self) -> Option<ScoringRoute> {
        self.capabilities.scoring
    }

    /// How it samples.
    pub fn sampling_route(&self) -> SamplingRoute {
        self.capabilities.sampling
    }

    fn batch<Q, T, F, Fut>(&self, requests: &[Q], work: F) -> Vec<Result<T, ModelError>>
    where
        Q: Clone + Send + Sync + 'static,
        T: Send + 'static,
        F: Fn(Arc<Vec<Q>>, usize) -> Fut + Clone + Send + Sync + 'static,
        Fut: Future<Output = Result<T, Failure>> + Send + 'static,
    {
        let items = requests.to_vec();
        let concurrency = self.endpoint.options.concurrency;
        let results = self
            .runtime
            .as_ref()
            .and_then(|runtime| block_on(runtime, run_all(items, concurrency, work)));
        let results =
            results.unwrap_or_else(|| requests.iter().map(|_| Err(worker_failed())).collect());
        results.into_iter().map(|result| result.map_err(ModelError::from)).collect()
    }
}

impl Model for OpenAiModel {
    fn identity(&self) -> &ModelIdentity {
        &self.identity
    }

    fn access(&self) -> AccessLevel {
        match self.capabilities.scoring {
            Some(_) => AccessLevel::Logprobs,
            None => AccessLevel::Sampling,
        }
    }

    fn score(&self, requests: &[ScoreRequest]) -> Vec<Result<Scored, ModelError>> {
        let Some(route) = self.capabilities.scoring else {
            let refuse = |_| {
                Err(ModelError::Access {
                    model: self.identity.spec.clone(),
                    access: AccessLevel::Sampling,
                    wanted: AccessLevel::Logprobs,
                })
            };
            return requests.iter().map(refuse).collect();
        };
        let (endpoint, prompts) = (Arc::clone(&self.endpoint), Arc::clone(&self.prompts));
        self.batch(requests, move |items, i| {
            let (endpoint, prompts) = (Arc::clone(&endpoint), Arc::clone(&prompts));
            async move {
                let request = items.get(i).ok_or_else(worker_failed)?;
                score::score(&endpoint, route, &prompts, request).await
            }
        })
    }

    fn sample(&self, requests: &[SampleRequest]) -> Vec<Result<Sampled, ModelError>> {
        let Capabilities { sampling, length, .. } = self.capabilities;
        let endpoint = Arc::clone(&self.endpoint);
        self.batch(requests, move |items, i| {
            let endpoint = Arc::clone(&endpoint);
            async move {
                let request = items.get(i).ok_or_else(worker_failed)?;
                sample::sample(&endpoint, sampling, length, request).await
            }
        })
    }
}

impl fmt::Debug for OpenAiModel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OpenAiModel")
            .field("identity", &self.identity)
            .field("capabilities", &self.capabilities)
            .finish_non_exhaustive()
    }
}

impl Drop for OpenAiModel {
    fn drop(&mut self) {
        // Dropping a runtime blocks, which panics where the caller is itself asynchronous.
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

/// Waits for a future on the runtime's threads, so that callers inside another runtime may
/// wait too. `None` if the future panicked.
fn block_on<T: Send + 'static>(
    runtime: &Runtime,
    future: impl Future<Output = T> + Send + 'static,
) -> Option<T> {
    let (sender, receiver) = mpsc::channel();
    runtime.spawn(async move {
        // The receiver is there until an answer came.
        drop(sender.send(future.await));
    });
    receiver.recv().ok()
}

fn worker_failed() -> Failure {
    Failure::Lost { message: "a worker failed".to_owned(), status: None }
}

fn identity(base_url: &str, model: &str, capabilities: &Capabilities) -> ModelIdentity {
    let base_url = base_url.trim_end_matches('/');
    let spec = ModelSpec::OpenAi { base_url: base_url.to_owned(), model: model.to_owned() };
    let template = match capabilities.scoring {
        Some(route) if !route.uses_server_template() => "plain 1",
        _ => "the server's own",
    };
    let none = || {
        let why = " (echoed log-probabilities belong to the token after)";
        format!("none{}", if capabilities.is_out_of_step { why } else { "" })
    };
    let scoring = capabilities.scoring.map_or_else(none, |route| route.to_string());
    ModelIdentity {
        model_hash: hex_sha256(&format!("{base_url}\n{model}")),
        template_hash: hex_sha256(template),
        settings: format!("openai; scoring: {scoring}; sampling: {}", capabilities.sampling),
        spec: spec.to_string(),
    }
}

fn hex_sha256(text: &str) -> String {
    let nibble = |n: u8| char::from_digit(n.into(), 16).unwrap_or_default();
    Sha256::digest(text.as_bytes()).iter().flat_map(|b| [nibble(b >> 4), nibble(b & 15)]).collect()
}
