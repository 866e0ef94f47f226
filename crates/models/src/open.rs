//! From a model string to a model.
//!
//! The one place that knows all back-ends. Reading keys from the environment is left to the
//! binary; each back-end checks its own files or server.

use crate::{Budget, EndpointOptions, Meter, Model, ModelError, ModelSpec, OpenAiModel, Secret};
use std::time::Duration;

/// How to open a model. `Default`: all cores, no key, no limits.
#[derive(Debug, Clone)]
pub struct OpenOptions {
    /// Threads for local models; 0 means all cores. A GGUF model takes one slot each.
    pub threads: usize,
    /// Longest sequence that a local model is given, tokens; texts that need more are refused,
    /// never cut.
    pub context_max: usize,
    /// Key of an endpoint.
    pub api_key: Option<Secret>,
    /// Limits of an endpoint on requests, tokens and money.
    pub budget: Budget,
    /// Account shared with other endpoints; with it, `budget` is not looked at.
    pub meter: Option<Meter>,
    /// Most requests under way at once.
    pub concurrency: usize,
    /// Longest time that one attempt of a request may take, milliseconds.
    pub timeout_ms: u64,
    /// Attempts per request, the first included.
    pub attempts: u32,
    /// Proxy URL for endpoints.
    pub proxy: Option<String>,
    /// Seed of everything stochastic in the transport (waits between attempts).
    pub seed: u64,
}

impl Default for OpenOptions {
    fn default() -> Self {
        let endpoint = EndpointOptions::default();
        Self {
            threads: 0,
            context_max: 8192,
            api_key: None,
            budget: endpoint.budget,
            meter: None,
            concurrency: endpoint.concurrency,
            timeout_ms: u64::try_from(endpoint.timeout.as_millis()).unwrap_or(u64::MAX),
            attempts: endpoint.attempts,
            proxy: None,
            seed: endpoint.seed,
        }
    }
}

impl OpenOptions {
    fn endpoint(&self) -> EndpointOptions {
        EndpointOptions {
            api_key: self.api_key.clone(),
            budget: self.budget,
            concurrency: self.concurrency.max(1),
            timeout: Duration::from_millis(self.timeout_ms),
            attempts: self.attempts.max(1),
            proxy: self.proxy.clone(),
            seed: self.seed,
            ..EndpointOptions::default()
        }
    }
}

/// Opens the model that `spec` names.
///
/// # Errors
/// [`ModelError::Unusable`] names the file, field or URL and says what to do; an endpoint may
/// also be lost or over its budget.
pub fn open(spec: &ModelSpec, options: &OpenOptions) -> Result<Box<dyn Model>, ModelError> {
    match spec {
        ModelSpec::Gguf(path) => crate::gguf::open(path, options),
        ModelSpec::Hf(folder) => {
            crate::hf::HfModel::open(folder, options).map(|model| Box::new(model) as Box<dyn Model>)
        }
        ModelSpec::OpenAi { base_url, model } => {
            let endpoint = options.endpoint();
            let opened = match &options.meter {
                None => OpenAiModel::connect(base_url, model, &endpoint),
                Some(meter) => {
                    OpenAiModel::connect_metered(base_url, model, &endpoint, meter.clone())
                }
            };
            opened.map(|model| Box::new(model) as Box<dyn Model>)
        }
    }
}
