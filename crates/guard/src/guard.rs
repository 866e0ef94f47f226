//! The guard as a whole: what a request's way needs, put together once.

use crate::{
    Clock, GuardConfig, GuardError,
    exposure::{self, Capture},
    keys::Keys,
    limits::Limits,
    live::Detector,
    observe::{Metrics, Observer},
    policy::Policies,
    proxy::ProxyState,
    sharing::SharedKey,
    store::Store,
    upstream::Upstreams,
};
use std::collections::BTreeMap;
use std::sync::Arc;
use stillwatch_evidence::Secret;

/// What the environment holds, read by the binary: names of variables to their values.
#[derive(Debug, Clone, Default)]
pub struct Secrets(pub BTreeMap<String, Secret>);

impl Secrets {
    /// The value of a variable that the configuration names.
    pub fn get(&self, name: &str) -> Option<&Secret> {
        self.0.get(name)
    }
}

/// Everything that requests share.
#[derive(Debug)]
pub struct Guard {
    /// The settings.
    pub config: GuardConfig,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// What survives a restart.
    pub store: Store,
    /// Accounts and virtual keys.
    pub keys: Keys,
    /// Token buckets.
    pub limits: Limits,
    /// Countermeasures and decisions.
    pub policies: Policies,
    /// Exposures; absent with a rate of 0.
    pub exposure: Option<Capture>,
    /// Live detection.
    pub detector: Detector,
    /// The key under which indicators are shared with other providers.
    pub sharing: Option<SharedKey>,
    /// Counters.
    pub metrics: Arc<Metrics>,
    /// Logs, spans, kept exchanges.
    pub observer: Observer,
    /// The models behind it.
    pub upstreams: Upstreams,
    /// What requests share on their way.
    pub(crate) proxy: ProxyState,
}

impl Guard {
    /// Opens store and ledger, starts what runs in the background.
    ///
    /// # Errors
    /// A setting that can't be, a store or ledger that can't be opened.
    pub async fn start(
        config: GuardConfig,
        secrets: &Secrets,
        clock: Arc<dyn Clock>,
    ) -> Result<Arc<Self>, GuardError> {
        config.check_secrets(secrets)?;
        let places = config.places.clone();
        Box::pin(Self::open(config, secrets, clock)).await.map_err(|error| places.place(error))
    }

    async fn open(
        config: GuardConfig,
        secrets: &Secrets,
        clock: Arc<dyn Clock>,
    ) -> Result<Arc<Self>, GuardError> {
        let metrics = Arc::new(Metrics::new());
        let store = Store::open(&config.store, &config.data, secrets).await?;
        let observer =
            Observer::start(&config.observe, &config.data, secrets, &store, &metrics, &clock)
                .await?;
        store.report_to(&metrics);
        let keys = Keys::open(store.clone(), secrets).await?;
        let limits =
            Limits::open_with_clock(&config.limits, store.clone(), Arc::clone(&clock)).await?;
        let exposure = Capture::open(
            &config.exposure,
            &config.data,
            Arc::clone(&clock),
            Arc::clone(&metrics),
            &store,
        )
        .await?;
        let shared_key = SharedKey::of(&config.sharing, secrets)?;
        let detector = Detector::start(
            &config.live,
            store.clone(),
            Arc::clone(&clock),
            &metrics,
            shared_key.as_ref().map(SharedKey::traffic_key),
        )
        .await?;
        let policies = Policies::open(
            &config.policy,
            store.clone(),
            &metrics,
            secrets,
            detector.hash_key(),
            clock.now_ms(),
        )
        .await?;
        let proxy = ProxyState::new(&config.listen)?;
        let upstreams =
            Upstreams::new(&config.upstream, secrets)?.reporting_to(Arc::clone(&metrics));
        let guard = Arc::new(Self {
            config,
            clock,
            store,
            keys,
            limits,
            policies,
            exposure,
            detector,
            sharing: shared_key,
            metrics,
            observer,
            upstreams,
            proxy,
        });
        exposure::start(&guard);
        crate::policy::spawn(&guard);
        Ok(guard)
    }

    /// Waits until what must be kept is on the disk; afterwards nothing more is taken.
    pub async fn close(&self) {
        self.policies.close();
        self.detector.close().await;
        if let Some(exposure) = &self.exposure {
            exposure.close().await;
        }
        self.observer.close().await;
        self.limits.close().await;
        self.store.close().await;
    }
}
