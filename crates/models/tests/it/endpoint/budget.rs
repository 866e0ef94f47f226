//! Limits hold at any concurrency, and what was not spent is spent later.

use super::mock::{Mock, Reply, ask, quick};
use serde_json::json;
use std::time::Duration;
use stillwatch_models::{
    Budget, BudgetError, EndpointOptions, Meter, Model, ModelError, OpenAiModel, Prices,
};

/// Counts 30 + 8 tokens for every answer.
fn server() -> Mock {
    Mock::chat_only(|hit| {
        Reply::json(&json!({
            "choices": [{"message": {"content": "well"}, "finish_reason": "stop"}],
            "usage": {"prompt_tokens": 30, "completion_tokens": 8},
        }))
        .after(Duration::from_millis(hit.n as u64 % 7))
    })
}

fn run(budget: Budget, concurrency: usize) -> (Meter, Vec<bool>, usize) {
    let server = server();
    let options = EndpointOptions { budget, concurrency, ..quick() };
    let model = server.connect_with(&options).expect("open");
    let requests: Vec<_> = (0..400).map(|i| ask(&i.to_string())).collect();
    let results = model.sample(&requests);
    for result in &results {
        assert!(matches!(result, Ok(_) | Err(ModelError::Budget(_))), "{result:?}");
    }
    let answered = results.iter().map(Result::is_ok).collect();
    (model.meter().clone(), answered, server.hits().len())
}

#[test]
fn never_overshoots_at_concurrency_64() {
    let prices = Prices { input_usd_per_million: 0.15, output_usd_per_million: 0.6 };
    for concurrency in [1, 64] {
        let requests = Budget { requests: Some(100), ..Budget::default() };
        let (meter, answered, hits) = run(requests, concurrency);
        assert_eq!((meter.spent().requests, hits), (100, 100));
        // Six requests found out what the server can do.
        assert_eq!(answered.iter().filter(|&&ok| ok).count(), 94);

        let tokens = Budget { tokens: Some(6_000), ..Budget::default() };
        let (meter, answered, _) = run(tokens, concurrency);
        let spent = meter.spent();
        let total = spent.input_tokens + spent.output_tokens;
        assert_eq!(total, 38 * (answered.iter().filter(|&&ok| ok).count() as u64 + 1));
        // Nothing more than one reservation is left over.
        assert!((5_600..=6_000).contains(&total), "{total}");

        let usd = Budget { usd: Some(0.001), prices: Some(prices), ..Budget::default() };
        let (meter, _, _) = run(usd, concurrency);
        assert!((0.0009..=0.001).contains(&meter.spent().usd), "{}", meter.spent().usd);
    }
}

#[test]
fn answers_without_counts_cost_their_upper_bound() {
    let server =
        Mock::chat_only(|_| Reply::json(&json!({"choices": [{"message": {"content": "well"}}]})));
    let budget = Budget { tokens: Some(4_000), ..Budget::default() };
    let model = server.connect_with(&EndpointOptions { budget, ..quick() }).expect("open");
    let requests: Vec<_> = (0..100).map(|i| ask(&i.to_string())).collect();
    let answered = model.sample(&requests).iter().filter(|r| r.is_ok()).count();
    assert!((5..20).contains(&answered), "{answered}");
    let spent = model.meter().spent();
    assert!(spent.input_tokens + spent.output_tokens <= 4_000);
}

#[test]
fn models_can_share_an_account() {
    let (first, second) = (server(), server());
    let budget = Budget { requests: Some(20), ..Budget::default() };
    let meter = Meter::new(&budget).expect("budget");
    let open = |server: &Mock| {
        OpenAiModel::connect_metered(&server.url, "toy", &quick(), meter.clone()).expect("open")
    };
    let models = [open(&first), open(&second)];
    let requests: Vec<_> = (0..20).map(|i| ask(&i.to_string())).collect();
    for model in &models {
        drop(model.sample(&requests));
    }
    assert_eq!(meter.spent().requests, 20);
    assert_eq!(first.hits().len() + second.hits().len(), 20);
}

#[test]
fn refuses_budgets_that_mean_nothing() {
    let prices = |input, output| {
        Some(Prices { input_usd_per_million: input, output_usd_per_million: output })
    };
    let budgets = [
        Budget { usd: Some(1.0), ..Budget::default() },
        Budget { usd: Some(-1.0), prices: prices(1.0, 1.0), ..Budget::default() },
        Budget { usd: Some(f64::NAN), prices: prices(1.0, 1.0), ..Budget::default() },
        Budget { prices: prices(-1.0, 1.0), ..Budget::default() },
        Budget { prices: prices(1.0, f64::INFINITY), ..Budget::default() },
    ];
    for (i, budget) in budgets.iter().enumerate() {
        let error = Meter::new(budget).expect_err("meaningless");
        assert_eq!(matches!(error, BudgetError::NoPrices), i == 0, "{error}");
    }
    let server = server();
    let options = EndpointOptions { budget: budgets[0], ..quick() };
    assert!(matches!(server.connect_with(&options), Err(ModelError::Unusable { .. })));
    assert!(server.hits().is_empty());
}
