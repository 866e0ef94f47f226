//! A guard that exposes, and what its folder holds afterwards.

use crate::gateway::{Gateway, config};
use std::path::Path;
use stillwatch_evidence::Exposure;
use stillwatch_evidence::ledger::{
    Filter, LedgerCheck, LedgerClaim, LogView, Receipt, Unfinished, account_for_range,
};
use stillwatch_guard::exposure::{Exported, ExposureConfig, export};
use stillwatch_guard::{GuardConfig, Secrets};
use stillwatch_testkit::upstream::MockUpstream;

/// Settings that expose every eligible request.
pub(crate) fn exposing(upstream: &MockUpstream, data: &Path) -> GuardConfig {
    let mut config = config(&[upstream]);
    data.clone_into(&mut config.data);
    config.exposure = ExposureConfig { rate: 1.0, ..ExposureConfig::default() };
    config.live.enabled = false;
    config
}

pub(crate) async fn start(config: GuardConfig) -> Gateway {
    Gateway::start_in_place(config, &Secrets::default()).await
}

/// The receipt of an answer.
pub(crate) fn receipt(response: &reqwest::Response) -> Option<Receipt> {
    let header = response.headers().get("stillwatch-receipt")?.to_str().expect("text");
    Some(serde_json::from_str(header).expect("a receipt"))
}

/// What is exported from a folder.
pub(crate) fn exported(data: &Path) -> (Vec<Exposure>, Exported) {
    let file = data.join("exposures.jsonl");
    let mut out = fs_err::File::create(&file).expect("a file");
    let exported = export(data, &mut out, Some(jiff::Timestamp::now())).expect("an export");
    if exported.n_exposures == 0 {
        return (Vec::new(), exported);
    }
    let read = stillwatch_evidence::read_exposures(&file).expect("exposures");
    assert!(read.rejects.is_empty(), "{:?}", read.rejects);
    (read.exposures, exported)
}

/// The account of the whole ledger against its last head.
pub(crate) fn account(data: &Path, exposures: &[Exposure]) -> LedgerCheck {
    let view = LogView::open(&data.join("ledger")).expect("a ledger");
    let head = view.heads().last().expect("a head");
    let claim = LedgerClaim {
        first_sequence: 0,
        last_sequence: view.n_sequences_under(head) - 1,
        filter: &Filter::default(),
        plan_leaf: None,
        rounds: &[],
        witnesses: &[],
        unfinished: Unfinished::Adverse,
    };
    account_for_range(&view, head, &claim, exposures).expect("an account")
}
