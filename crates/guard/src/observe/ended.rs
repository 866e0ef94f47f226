//! What is known of a request when its answer has ended, and what is made of it.

use super::{
    History, LogRequests, Metrics, ObserveConfig, api_name,
    exchanges::{Exchanges, Keep},
    spans::{Spans, cut},
};
use crate::{Clock, GuardError, Identity, Secrets, limits::Cost, request::Api, store::Store};
use jiff::Timestamp;
use std::{
    path::Path,
    sync::{Arc, Mutex, PoisonError, Weak},
    time::Duration,
};
use stillwatch_evidence::Exchange;

/// How often totals are read for the dashboard's drawing.
const SAMPLE_EVERY: Duration = Duration::from_secs(10);

/// What is known of a request when its answer has ended.
#[derive(Debug, Clone, Copy, Default)]
pub struct Ended<'a> {
    /// Name of the request, as its `stillwatch-request-id` header has it.
    pub request_id: &'a str,
    /// End point; absent where none was matched.
    pub api: Option<Api>,
    /// Whose it was; absent where no key was accepted.
    pub who: Option<&'a Identity>,
    /// Model asked for.
    pub model: &'a str,
    /// Model that answered, where the answer says so.
    pub response_model: Option<&'a str>,
    /// Upstream that answered: its URL.
    pub upstream: Option<&'a str>,
    /// HTTP status of the answer.
    pub status: u16,
    /// What went wrong: a stable code, snake case.
    pub error: Option<&'a str>,
    /// When it began, milliseconds since the epoch.
    pub start_ms: i64,
    /// From the last header of the request to the first byte of the answer.
    pub first_byte: Option<Duration>,
    /// From the last header of the request to the last byte of the answer.
    pub duration: Duration,
    /// What it cost, where known.
    pub cost: Option<Cost>,
    /// Why the answer ended.
    pub finish_reason: Option<&'a str>,
    /// Whether it was streamed.
    pub stream: bool,
    /// Whether it was exposed.
    pub exposed: bool,
}

/// Makes counters, a log line and a span of every ended request.
#[derive(Debug)]
pub struct Observer {
    metrics: Arc<Metrics>,
    history: Arc<History>,
    spans: Option<Spans>,
    exchanges: Option<Exchanges>,
    log_requests: LogRequests,
    account_names: bool,
    pseudonym_key: [u8; 32],
    sampler: Mutex<Option<tokio::task::JoinHandle<()>>>,
}

impl Observer {
    /// Starts the exporter of spans and the store of exchanges, where they are asked for.
    ///
    /// # Errors
    /// An end point that is no URL, a folder that can't be written, a store that fails.
    pub async fn start(
        config: &ObserveConfig,
        data: &Path,
        secrets: &Secrets,
        store: &Store,
        metrics: &Arc<Metrics>,
        clock: &Arc<dyn Clock>,
    ) -> Result<Self, GuardError> {
        let exchanges = if config.store_prompts {
            let bytes_max = config.prompts_megabytes_max.saturating_mul(1_000_000);
            let keep = Keep { days: config.prompts_keep_days, bytes_max };
            let now = Timestamp::from_millisecond(clock.now_ms()).unwrap_or(Timestamp::UNIX_EPOCH);
            Some(Exchanges::start(&data.join("exchanges"), keep, metrics, now)?)
        } else {
            None
        };
        let history = Arc::new(History::default());
        let sampler =
            tokio::spawn(sample(Arc::downgrade(&history), Arc::clone(metrics), Arc::clone(clock)));
        Ok(Self {
            metrics: Arc::clone(metrics),
            history,
            spans: Spans::start(config, secrets, metrics)?,
            exchanges,
            log_requests: config.log_requests,
            account_names: config.account_names,
            pseudonym_key: store.agreed_key("observe.pseudonym_key").await?,
            sampler: Mutex::new(Some(sampler)),
        })
    }

    /// Takes an ended request; never waits.
    pub fn ended(&self, ended: &Ended<'_>) {
        self.metrics.answered(ended.api, ended.status, ended.first_byte, ended.duration);
        if let Some(cost) = ended.cost {
            self.metrics.spent(cost);
        }
        // Refusals are the client's fault and can be as many as it likes; so is its going away.
        let broke_off = ended.error.is_some_and(|error| error != "client_gone");
        let failed = ended.status >= 500 || (ended.status < 400 && broke_off);
        let logged = match self.log_requests {
            LogRequests::None => false,
            LogRequests::Failed => failed,
            LogRequests::All => true,
        };
        if !logged && self.spans.is_none() {
            return;
        }
        let account = ended.who.map_or_else(String::new, |who| self.shown_account(&who.account));
        if let Some(spans) = &self.spans {
            spans.ended(ended, &account);
        }
        if logged {
            log(ended, &account, failed);
        }
    }

    /// What logs and spans call an account: its name where that is configured, else a pseudonym
    /// that is the same on all nodes of this store.
    pub fn shown_account(&self, account: &str) -> String {
        if self.account_names {
            return cut(account).to_owned();
        }
        let hash = blake3::keyed_hash(&self.pseudonym_key, account.as_bytes()).to_hex();
        format!("acct-{}", hash.get(..12).unwrap_or_default())
    }

    /// What the last day was like.
    pub fn history(&self) -> &History {
        &self.history
    }

    /// Whether exchanges are to be kept: prompts are stored only where that is configured.
    pub fn keeps_exchanges(&self) -> bool {
        self.exchanges.is_some()
    }

    /// Keeps an exchange, where that is configured; never waits.
    pub fn keep(&self, exchange: &Exchange) {
        if let Some(exchanges) = &self.exchanges {
            exchanges.keep(exchange);
        }
    }

    /// Waits until every exchange that was handed over before is in its file.
    ///
    /// # Errors
    /// The guard is closing.
    pub async fn flush_exchanges(&self) -> std::io::Result<()> {
        match &self.exchanges {
            Some(exchanges) => exchanges.flush().await,
            None => Ok(()),
        }
    }

    /// Removes all kept exchanges of an account; how many they were.
    ///
    /// # Errors
    /// A file can't be written anew; then some may be left, and asking again is right.
    pub async fn forget_account(&self, account: &str) -> std::io::Result<u64> {
        match &self.exchanges {
            Some(exchanges) => exchanges.forget(account).await,
            None => Ok(0),
        }
    }

    /// Waits until everything taken is written or sent.
    pub async fn close(&self) {
        let sampler = self.sampler.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(sampler) = sampler {
            sampler.abort();
        }
        if let Some(spans) = &self.spans {
            spans.close().await;
        }
        if let Some(exchanges) = &self.exchanges {
            exchanges.close().await;
        }
    }
}

async fn sample(history: Weak<History>, metrics: Arc<Metrics>, clock: Arc<dyn Clock>) {
    let mut ticks = tokio::time::interval(SAMPLE_EVERY);
    loop {
        ticks.tick().await;
        let Some(history) = history.upgrade() else { return };
        history.sample(&metrics, clock.now_ms());
    }
}

/// One line. Names that clients choose are written as quoted strings, so that none can pretend to
/// be another line.
fn log(ended: &Ended<'_>, account: &str, failed: bool) {
    let (cost, model) = (ended.cost.unwrap_or_default(), cut(ended.model));
    let duration_ms = ended.duration.as_secs_f64() * 1e3;
    let first_byte_ms = ended.first_byte.map(|first| first.as_secs_f64() * 1e3);
    macro_rules! line {
        ($level:expr) => {
            tracing::event!(
                target: "stillwatch_guard::request",
                $level,
                request_id = ended.request_id,
                api = api_name(ended.api),
                account,
                model = ?model,
                status = ended.status,
                error = ended.error,
                duration_ms,
                first_byte_ms,
                prompt_tokens = cost.prompt_tokens,
                completion_tokens = cost.completion_tokens,
                finish_reason = ended.finish_reason.map(cut),
                stream = ended.stream,
                "request"
            )
        };
    }
    if failed {
        line!(tracing::Level::WARN);
    } else {
        line!(tracing::Level::INFO);
    }
}
