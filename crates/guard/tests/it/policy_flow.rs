//! Decisions at work: kept in the store, seen by two nodes, told to the account, contested,
//! approved by a human, applied to requests.

use super::gateway::{self, Gateway, PATIENCE};
use super::policy::{DAY, HOUR, NOW, campaign, policy};
use bytes::Bytes;
use http::{Method, Request, Response};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use stillwatch_evidence::{Exchange, Message, Secret};
use stillwatch_guard::policy::admin::ByHand;
use stillwatch_guard::policy::dry_run::{DryRunParams, dry_run};
use stillwatch_guard::policy::{
    Actions, DecisionState, Measure, Policies, PolicyConfig, PolicyError, public, webhook,
};
use stillwatch_guard::request::{Api, RequestView};
use stillwatch_guard::{Clock, Guard, GuardConfig, Identity, ManualClock, Secrets};
use stillwatch_testkit::upstream::{Behaviour, MockUpstream};
use stillwatch_traffic::Analysis;
use tempfile::TempDir;

const ADMIN: &str = "admin sw-admin-abcde";
const THREE: [&str; 3] = ["text", "infrastructure", "sharding"];
const IP: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

struct Place {
    guard: Arc<Guard>,
    clock: Arc<ManualClock>,
    _data: Option<TempDir>,
}

async fn guard_in(
    data: &std::path::Path,
    policies: Vec<PolicyConfig>,
) -> (Arc<Guard>, Arc<ManualClock>) {
    let mut config =
        GuardConfig { data: data.to_owned(), policy: policies, ..GuardConfig::default() };
    config.exposure.rate = 0.0;
    config.live.enabled = false;
    let clock = Arc::new(ManualClock::new(NOW));
    let secrets = Secrets(
        [("HOOK".to_owned(), Secret::new("a shared key of some length").expect("a key"))].into(),
    );
    let passed: Arc<dyn Clock> = Arc::<ManualClock>::clone(&clock);
    let guard = Guard::start(config, &secrets, passed).await.expect("a guard");
    (guard, clock)
}

async fn place(policies: Vec<PolicyConfig>) -> Place {
    let data = tempfile::tempdir().expect("a temporary folder");
    let (guard, clock) = guard_in(data.path(), policies).await;
    Place { guard, clock, _data: Some(data) }
}

fn who(account: &str, plan: &str) -> Identity {
    Identity { account: account.into(), plan: plan.into(), is_virtual: true, ip: IP }
}

fn asks(model: &str, prompt: &str) -> RequestView {
    let body = json!({"model": model, "messages": [{"role": "user", "content": prompt}]});
    RequestView::parse(Api::Chat, body.to_string().as_bytes()).expect("a request")
}

fn decide(policies: &Policies, account: &str, now_ms: i64) -> Actions {
    policies.decide(&who(account, "default"), &asks("big", "hello"), now_ms)
}

async fn made(place: &Place, analysis: &Analysis) -> Vec<stillwatch_guard::policy::Decision> {
    place.guard.policies.step(analysis, place.clock.now_ms()).await.expect("a step");
    place.guard.policies.open_decisions()
}

#[tokio::test]
async fn policy_dry_runs_and_shadow_touch_no_request() {
    let dry = PolicyConfig { dry_run: true, dwell_hours: 0.0, ..policy(Measure::StripReasoning) };
    let place = place(vec![policy(Measure::Shadow), dry]).await;
    let analysis = campaign(&["a"], &THREE, 25);
    made(&place, &analysis).await;
    made(&place, &analysis).await;
    let actions = decide(&place.guard.policies, "a", NOW);
    let noted: Vec<Measure> = actions.noted.iter().map(|(measure, _)| *measure).collect();
    assert_eq!(noted, [Measure::Shadow, Measure::StripReasoning]);
    assert_eq!(Actions { noted: Vec::new(), ..actions }, Actions::default());
    assert_eq!(decide(&place.guard.policies, "b", NOW), Actions::default());
}

#[tokio::test]
async fn policy_measures_do_to_a_request_what_they_say() {
    let measures = [
        Measure::StripReasoning,
        Measure::Exposure,
        Measure::Downgrade,
        Measure::RewriteTraces,
        Measure::HoldNewModels,
        Measure::Verification,
        Measure::Suspension,
    ];
    for measure in measures {
        let mut config = policy(measure);
        config.exempt_plans = vec!["research".to_owned()];
        let place = place(vec![config]).await;
        let policies = &place.guard.policies;
        let open = made(&place, &campaign(&["a"], &THREE, 25)).await;
        let decision = open.first().expect("made");
        if decision.state == DecisionState::Proposed {
            assert!(measure.blocks());
            assert_eq!(decide(policies, "a", NOW), Actions::default(), "{measure} waits");
            policies.approve(&decision.id, ADMIN, None, NOW).await.expect("approved");
        }
        let model = if measure == Measure::HoldNewModels { "new-7b" } else { "big" };
        let actions = policies.decide(&who("a", "default"), &asks(model, "hello"), NOW);
        let declared: Vec<&str> = actions.declared.iter().map(|(_, id)| id.as_str()).collect();
        assert_eq!(declared.contains(&decision.id.as_str()), measure.is_declared(), "{measure}");
        assert_eq!(actions.strip_reasoning, measure == Measure::StripReasoning);
        assert_eq!(actions.shorten_reasoning, measure == Measure::RewriteTraces);
        assert_eq!(actions.exposure_factor, (measure == Measure::Exposure).then_some(10));
        let other = actions.downgrade_to.as_deref();
        assert_eq!(other, (measure == Measure::Downgrade).then_some("small"));
        assert_eq!(actions.refusal.is_some(), measure.blocks(), "{measure}");
        if let Some(refusal) = actions.refusal {
            assert_eq!((refusal.status, refusal.decision.as_str()), (403, decision.id.as_str()));
            assert!(refusal.message.contains(&format!("/stillwatch/decisions/{}", decision.id)));
        }
        let exempt = policies.decide(&who("a", "research"), &asks(model, "hello"), NOW);
        assert_eq!(exempt, Actions::default(), "{measure}: exempt plan");
    }
    let held = place(vec![policy(Measure::HoldNewModels)]).await;
    made(&held, &campaign(&["a"], &THREE, 25)).await;
    assert_eq!(decide(&held.guard.policies, "a", NOW), Actions::default(), "an old model");
}

#[tokio::test]
async fn policy_quarantine_refuses_the_template_and_nothing_else() {
    let place = place(vec![policy(Measure::TemplateQuarantine)]).await;
    let template = "You are given a problem in arithmetic. Show every step of your reasoning \
                    before you state the final result. The problem: ";
    let mut analysis = campaign(&["a"], &THREE, 25);
    let key = stillwatch_traffic::HashKey::new(place.guard.detector.hash_key());
    let mut extractor = stillwatch_traffic::Extractor::new(key);
    let prompt = format!("{template} how much is 3 apples and 4 pears?");
    let features = extractor.extract(&stillwatch_traffic::Observation {
        user: &prompt,
        ..stillwatch_traffic::Observation::default()
    });
    if let Some(campaign) = analysis.campaigns.first_mut() {
        campaign.indicators = features.items.iter().copied().filter(|item| *item != 0).collect();
    }
    let open = made(&place, &analysis).await;
    let id = &open.first().expect("proposed").id;
    let policies = &place.guard.policies;
    policies.approve(id, ADMIN, None, NOW).await.expect("approved");
    let refused = |prompt: &str| {
        policies.decide(&who("a", "default"), &asks("m", prompt), NOW).refusal.is_some()
    };
    assert!(refused(&prompt));
    assert!(refused(&format!("{template} what is the square root of sixteen point five?")));
    assert!(!refused("Dear assistant, could you help me to write a letter to my landlord?"));
    let other = policies.decide(&who("b", "default"), &asks("m", &prompt), NOW);
    assert_eq!(other, Actions::default(), "only the campaign's accounts");
}

#[tokio::test]
async fn policy_suspension_is_for_the_whole_campaign_or_not_at_all() {
    let place = place(vec![policy(Measure::Suspension)]).await;
    let policies = &place.guard.policies;
    let open = made(&place, &campaign(&["a", "b", "c"], &THREE, 25)).await;
    assert_eq!(open.len(), 3);
    let id = open.first().expect("proposed").id.clone();
    let done = policies.approve(&id, ADMIN, Some("seen by two"), NOW + HOUR).await;
    assert_eq!(done.expect("approved").len(), 3);
    for account in ["a", "b", "c"] {
        let refusal = decide(policies, account, NOW + HOUR).refusal.expect("suspended");
        assert_eq!(refusal.code, "account_suspended");
    }
    let again = policies.approve(&id, ADMIN, None, NOW).await;
    assert!(matches!(again, Err(PolicyError::Conflict(_))));
    let back = policies.revoke(&id, true, ADMIN, Some("wrong"), NOW + HOUR).await;
    assert_eq!(back.expect("revoked").len(), 3);
    assert_eq!(decide(policies, "b", NOW + HOUR), Actions::default());
    let events = place.guard.store.policy_events(Some(&id), 10).await.expect("kept");
    let whats: Vec<(&str, &str)> =
        events.iter().map(|e| (e.what.as_str(), e.who.as_str())).collect();
    assert_eq!(whats, [("revoked", ADMIN), ("approved", ADMIN)]);
}

#[tokio::test]
async fn policy_decisions_end_in_time_and_a_clock_set_back_revives_none() {
    let place = place(vec![policy(Measure::StripReasoning)]).await;
    let policies = &place.guard.policies;
    made(&place, &campaign(&["a"], &THREE, 25)).await;
    assert!(decide(policies, "a", NOW + 7 * DAY - 1).strip_reasoning);
    assert!(!decide(policies, "a", NOW + 7 * DAY).strip_reasoning, "over, even before a step");
    let quiet = Analysis::default();
    policies.step(&quiet, NOW + 7 * DAY).await.expect("a step");
    assert!(!decide(policies, "a", NOW).strip_reasoning, "the clock was set back");
    policies.step(&quiet, NOW).await.expect("a step");
    assert!(!decide(policies, "a", NOW).strip_reasoning);
}

#[tokio::test]
async fn policy_two_nodes_see_the_same_decisions() {
    let data = tempfile::tempdir().expect("a temporary folder");
    let configs = vec![policy(Measure::StripReasoning), policy(Measure::Suspension)];
    let (one, _) = guard_in(data.path(), configs.clone()).await;
    let (other, _) = guard_in(data.path(), configs).await;
    let analysis = campaign(&["a", "b"], &THREE, 25);
    let n = one.policies.step(&analysis, NOW).await.expect("a step");
    assert_eq!(n, 2);
    assert_eq!(other.policies.step(&analysis, NOW).await.expect("a step"), 0, "nothing twice");
    assert_eq!(one.policies.open_decisions(), other.policies.open_decisions());
    assert!(decide(&other.policies, "b", NOW).strip_reasoning);

    let id = other.policies.open_decisions().first().expect("there").id.clone();
    other.policies.revoke(&id, false, ADMIN, None, NOW).await.expect("revoked");
    one.policies.refresh(NOW).await.expect("read");
    assert_eq!(one.policies.open_decisions(), other.policies.open_decisions());
    assert_eq!(one.policies.open_decisions().len(), 1);

    // A third node, started later, knows it all.
    let (third, _) = guard_in(data.path(), vec![policy(Measure::StripReasoning)]).await;
    assert_eq!(third.policies.open_decisions(), one.policies.open_decisions());
    assert_eq!(third.policies.step(&analysis, NOW + 1).await.expect("a step"), 0, "a is cleared");
}

#[tokio::test]
async fn policy_shared_budgets_and_decisions_by_hand() {
    let place = place(vec![policy(Measure::SharedBudget)]).await;
    let policies = &place.guard.policies;
    let analysis = campaign(&["a", "b"], &["text", "sharding"], 25);
    made(&place, &analysis).await;
    let budgets = policies.shared_budgets(NOW);
    let accounts: BTreeMap<&str, &[String]> =
        budgets.iter().map(|(name, (accounts, _))| (name.as_str(), accounts.as_slice())).collect();
    assert_eq!(accounts, [("c-1", ["a".to_owned(), "b".to_owned()].as_slice())].into());

    let mut wish = ByHand {
        account: None,
        campaign: Some("c-1".to_owned()),
        measure: Measure::Suspension,
        reason: "resale".to_owned(),
        note: "a reseller's invoice".to_owned(),
        expires_hours: 24.0,
        without_evidence: false,
    };
    let refused = policies.make(&wish, &analysis, ADMIN, NOW).await.expect_err("two families");
    assert!(
        refused.to_string().contains("three families")
            || refused.to_string().contains("3 families")
    );
    wish.without_evidence = true;
    let done = policies.make(&wish, &analysis, ADMIN, NOW).await.expect("meant");
    assert_eq!(done.len(), 2);
    assert!(done.iter().all(|d| d.made_by == ADMIN && d.policy == "manual"));
    assert!(decide(policies, "a", NOW).refusal.is_some());
    assert!(decide(policies, "a", NOW + DAY).refusal.is_none());
    let twice = policies.make(&wish, &analysis, ADMIN, NOW).await;
    assert!(matches!(twice, Err(PolicyError::Conflict(_))));
    for broken in [
        ByHand { reason: "No Code".to_owned(), ..wish.clone() },
        ByHand { note: " ".to_owned(), ..wish.clone() },
        ByHand { expires_hours: f64::INFINITY, ..wish.clone() },
        ByHand { account: Some("a".to_owned()), ..wish.clone() },
        ByHand { measure: Measure::Downgrade, ..wish.clone() },
    ] {
        let error = policies.make(&broken, &analysis, ADMIN, NOW).await.expect_err("refused");
        assert_eq!(error.status(), 400, "{error}");
    }
}

async fn ask(
    guard: &Arc<Guard>,
    method: Method,
    path: &str,
    headers: &[(&str, &str)],
    body: &str,
) -> (u16, String, Response<Bytes>) {
    let mut request = Request::builder().method(method).uri(path);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let request = request.body(Bytes::from(body.to_owned())).expect("a request");
    let response = public::handle(guard, IP, request).await;
    let text = String::from_utf8(response.body().to_vec()).expect("UTF-8");
    (response.status().as_u16(), text, response)
}

#[tokio::test]
async fn policy_appeals_are_heard_and_granted_or_denied() {
    let place = place(vec![policy(Measure::StripReasoning)]).await;
    let (guard, policies) = (&place.guard, &place.guard.policies);
    let analysis = campaign(&["a", "b"], &THREE, 25);
    let open = made(&place, &analysis).await;
    let of_a = open.iter().find(|d| d.account == "a").expect("made").id.clone();
    let path = format!("/stillwatch/decisions/{of_a}");
    let appeal = format!("{path}/appeal");

    let (status, ..) = ask(guard, Method::POST, &appeal, &[], r#"{"text":"  "}"#).await;
    assert_eq!(status, 400);
    let long = json!({"text": "x".repeat(4001)}).to_string();
    assert_eq!(ask(guard, Method::POST, &appeal, &[], &long).await.0, 400);
    let body = r#"{"text":"I teach a class","contact":"me@example.org"}"#;
    let (status, text, _) = ask(guard, Method::POST, &appeal, &[], body).await;
    assert_eq!(status, 201, "{text}");
    assert_eq!(ask(guard, Method::POST, &appeal, &[], body).await.0, 409, "one at a time");
    let state = policies.decision(&of_a).await.expect("kept").state;
    assert_eq!(state, DecisionState::Contested);
    assert!(decide(policies, "a", NOW).strip_reasoning, "in force until it is heard");

    let heard = policies.appeals(Some(&of_a), true, 10, 0).await.expect("read");
    let first = heard.first().expect("open").id.clone();
    let denied = policies.resolve(&first, false, "Forty accounts did the same.", false, ADMIN, NOW);
    assert_eq!(denied.await.expect("resolved").state, "denied");
    assert!(policies.resolve(&first, true, "No, yes.", false, ADMIN, NOW).await.is_err());
    let (_, text, _) = ask(guard, Method::GET, &path, &[], "").await;
    assert!(text.contains("Forty accounts did the same."), "{text}");

    let form = [("content-type", "application/x-www-form-urlencoded"), ("accept", "text/html")];
    let (status, text, _) =
        ask(guard, Method::POST, &appeal, &form, "text=A+class+of+forty%21&contact=").await;
    assert_eq!(status, 201, "{text}");
    let second = policies.appeals(Some(&of_a), true, 10, 0).await.expect("read");
    let second = second.first().expect("open");
    assert_eq!(second.text, "A class of forty!");
    policies.resolve(&second.id, true, "You are right.", false, ADMIN, NOW).await.expect("granted");
    assert_eq!(policies.decision(&of_a).await.expect("kept").state, DecisionState::Revoked);
    assert!(!decide(policies, "a", NOW).strip_reasoning);
    assert!(decide(policies, "b", NOW).strip_reasoning, "only the appellant's");
    assert_eq!(policies.step(&analysis, NOW + HOUR).await.expect("a step"), 0, "not made again");
    let (status, ..) = ask(guard, Method::POST, &appeal, &[], body).await;
    assert_eq!(status, 409, "nothing to contest");
}

#[tokio::test]
async fn policy_granted_appeals_stop_what_hits_innocents() {
    let mut strip = policy(Measure::StripReasoning);
    strip.budget.granted_appeals_max = 2;
    let place = place(vec![strip]).await;
    let policies = &place.guard.policies;
    let open = made(&place, &campaign(&["a", "b", "c"], &THREE, 25)).await;
    for decision in open.iter().filter(|decision| decision.account != "c") {
        let appeal = policies.appeal(&decision.id, "no", "", IP, NOW).await.expect("taken");
        policies.resolve(&appeal.id, true, "yes", false, ADMIN, NOW).await.expect("granted");
    }
    assert!(decide(policies, "c", NOW).strip_reasoning);
    policies.step(&campaign(&["d"], &THREE, 25), NOW + 1).await.expect("a step");
    assert!(policies.stopped().contains_key("strip_reasoning"));
    assert!(!decide(policies, "c", NOW + 1).strip_reasoning, "a stopped policy does nothing");
    policies.resume("strip_reasoning", ADMIN, NOW + 2).await.expect("resumed");
    assert!(decide(policies, "c", NOW + 2).strip_reasoning);
}

#[tokio::test]
async fn policy_that_touches_too_many_requests_rests_until_the_day_ends() {
    let mut strip = policy(Measure::StripReasoning);
    strip.budget.requests_share = 0.1;
    let place = place(vec![strip]).await;
    let policies = &place.guard.policies;
    made(&place, &campaign(&["a"], &THREE, 25)).await;
    let midnight = NOW - NOW % DAY;
    for _ in 0..950 {
        decide(policies, "honest", midnight);
    }
    let touched = |now_ms| decide(policies, "a", now_ms).strip_reasoning;
    for _ in 0..105 {
        assert!(touched(midnight), "up to a tenth");
    }
    let stopped = (0..10).any(|_| !touched(midnight));
    assert!(stopped);
    assert!(!touched(midnight + DAY - 1), "for the rest of the day");
    assert!(touched(midnight + DAY), "the next day it starts anew");
    let (n, rests) = policies.touched_today("strip_reasoning", midnight + DAY);
    assert_eq!((n, rests), (1, false));
}

#[tokio::test]
async fn policy_public_pages_tell_the_account_and_nobody_else() {
    let place = place(vec![policy(Measure::StripReasoning), policy(Measure::Verification)]).await;
    let guard = &place.guard;
    let mut analysis = campaign(&["secret-account", "other-account"], &THREE, 25);
    for risk in &mut analysis.accounts {
        for reason in &mut risk.reasons {
            reason.text = "<script>alert(1)</script>".to_owned();
        }
    }
    let open = made(&place, &analysis).await;
    let id = open.first().expect("made").id.clone();
    let path = format!("/stillwatch/decisions/{id}");
    let (status, text, response) = ask(guard, Method::GET, &path, &[], "").await;
    assert_eq!(status, 200);
    let said: Value = serde_json::from_str(&text).expect("JSON");
    assert_eq!(said["measure"], "strip_reasoning");
    assert_eq!(said["state"], "active");
    assert_eq!(said["made_by"], "rule");
    assert_eq!(said["since"], "2026-11-18T11:06:40Z");
    assert_eq!(said["measured"][0]["code"], "shared_text");
    assert!(said["contest"].as_str().is_some_and(|how| how.contains("/appeal")));
    // The decision's own id is random, and may hold the campaign's by chance.
    let rest = text.replace(&id, "");
    assert!(!rest.contains("-account") && !rest.contains("c-1"), "{text}");
    assert_eq!(response.headers()["cache-control"], "no-store");

    let html = [("accept", "text/html,application/xhtml+xml")];
    let (status, text, response) = ask(guard, Method::GET, &path, &html, "").await;
    assert_eq!(status, 200);
    assert!(text.contains("&lt;script&gt;alert(1)") && !text.contains("<script"), "{text}");
    assert!(!text.contains("-account"));
    assert!(response.headers().contains_key("content-security-policy"));

    let unknown = format!("/stillwatch/decisions/dec-{}", "0".repeat(32));
    for (method, path, expected) in [
        (Method::GET, unknown.as_str(), 404),
        (Method::GET, "/stillwatch/decisions/", 404),
        (Method::GET, "/stillwatch/decisions/dec-..%2f", 404),
        (Method::GET, "/stillwatch/decisions/dec-' OR 1=1", 404),
        (Method::DELETE, path.as_str(), 405),
        (Method::GET, "/stillwatch/terms", 200),
        (Method::POST, "/stillwatch/terms", 405),
    ] {
        let path = path.replace(' ', "%20");
        assert_eq!(ask(guard, method, &path, &[], "").await.0, expected, "{path}");
    }
    let (_, terms, _) = ask(guard, Method::GET, "/stillwatch/terms", &html, "").await;
    assert!(terms.contains("strip_reasoning") && terms.contains("final answer"), "{terms}");
}

#[tokio::test]
async fn policy_appeals_from_one_address_are_bounded() {
    let place = place(vec![policy(Measure::StripReasoning)]).await;
    let names: Vec<String> = (0..12).map(|i| format!("account-{i:02}")).collect();
    let accounts: Vec<&str> = names.iter().map(String::as_str).collect();
    made(&place, &Analysis { n_accounts: 10_000, ..campaign(&accounts, &THREE, 25) }).await;
    let mut statuses = Vec::new();
    for decision in place.guard.policies.open_decisions() {
        let path = format!("/stillwatch/decisions/{}/appeal", decision.id);
        statuses.push(ask(&place.guard, Method::POST, &path, &[], r#"{"text":"no"}"#).await.0);
    }
    assert_eq!(statuses.iter().filter(|status| **status == 201).count(), 10);
    assert_eq!(statuses.iter().filter(|status| **status == 429).count(), 2);
}

#[tokio::test]
async fn policy_verification_ends_by_a_signed_report() {
    let mut verification = policy(Measure::Verification);
    verification.webhook_key_env = Some("HOOK".to_owned());
    verification.verification_url = Some("https://verify.example/{decision}".to_owned());
    let place = place(vec![verification]).await;
    let (guard, policies) = (&place.guard, &place.guard.policies);
    let open = made(&place, &campaign(&["a"], &THREE, 25)).await;
    let id = open.first().expect("proposed").id.clone();
    policies.approve(&id, ADMIN, None, NOW).await.expect("approved");
    let refusal = decide(policies, "a", NOW).refusal.expect("refused");
    assert!(refusal.message.contains(&format!("https://verify.example/{id}")), "{refusal:?}");

    let path = format!("/stillwatch/decisions/{id}/verified");
    let sign = |key: &str| {
        let key = Secret::new(key).expect("a key");
        webhook::sign(&key, NOW / 1000, &id, b"{}").expect("signed")
    };
    let forged = sign("another key");
    let header = |value| [(webhook::SIGNATURE_HEADER, value)];
    assert_eq!(ask(guard, Method::POST, &path, &header(forged.as_str()), "{}").await.0, 404);
    assert_eq!(ask(guard, Method::POST, &path, &[], "{}").await.0, 404);
    let signed = sign("a shared key of some length");
    assert_eq!(ask(guard, Method::POST, &path, &header(signed.as_str()), "{ }").await.0, 404);
    assert_eq!(ask(guard, Method::POST, &path, &header(signed.as_str()), "{}").await.0, 200);
    assert_eq!(
        ask(guard, Method::POST, &path, &header(signed.as_str()), "{}").await.0,
        200,
        "twice"
    );
    assert_eq!(decide(policies, "a", NOW), Actions::default());
    let step = policies.step(&campaign(&["a"], &THREE, 25), NOW + DAY).await;
    assert_eq!(step.expect("a step"), 0, "not asked again");
}

#[tokio::test]
async fn policy_decides_from_memory_and_asks_no_database() {
    let place = place(vec![policy(Measure::Shadow)]).await;
    let names: Vec<String> = (0..2_000).map(|i| format!("account-{i:05}")).collect();
    let accounts: Vec<&str> = names.iter().map(String::as_str).collect();
    made(&place, &campaign(&accounts, &["text"], 25)).await;
    place.guard.store.close().await;
    let actions = decide(&place.guard.policies, "account-01999", NOW);
    assert_eq!(actions.noted.len(), 1, "from memory");
    let request = asks("big", "hello");
    for account in ["account-01999", "nobody"] {
        let identity = who(account, "default");
        let start = std::time::Instant::now();
        for _ in 0..100_000 {
            std::hint::black_box(place.guard.policies.decide(&identity, &request, NOW));
        }
        // Shown with --nocapture; no assertion, machines differ.
        println!("{account}: {} ns a decision", start.elapsed().as_nanos() / 100_000);
    }
    let step = place.guard.policies.step(&campaign(&["x"], &["text"], 25), NOW).await;
    assert!(step.is_err(), "the store is away");
    assert_eq!(decide(&place.guard.policies, "account-00000", NOW).noted.len(), 1, "still");
}

#[tokio::test]
async fn policy_end_to_end_a_dry_run_alters_no_byte_and_a_policy_in_force_says_so() {
    let upstream = MockUpstream::start(Behaviour::new().reasoning());
    for dry in [true, false] {
        let strip = PolicyConfig { dry_run: dry, ..policy(Measure::StripReasoning) };
        let config = GuardConfig { policy: vec![strip], ..gateway::config(&[&upstream]) };
        let gateway = Gateway::start(config).await;
        let guard = &gateway.guard;
        let now_ms = guard.clock.now_ms();
        let account = guard.keys.authenticate(Some("sk-harvester"), IP, now_ms).expect("let in");
        let analysis = campaign(&[&account.account], &THREE, 25);
        guard.policies.step(&analysis, now_ms).await.expect("a step");
        let ask = |url: String| {
            let client = gateway::client();
            async move {
                let sent = client.post(url).bearer_auth("sk-harvester");
                let response = sent.json(&gateway::chat("hello", true)).send().await.expect("sent");
                let header = response.headers().get("stillwatch-policy").cloned();
                (header, response.text().await.expect("text"))
            }
        };
        let through = ask(gateway.url("/v1/chat/completions"));
        let (header, text) = tokio::time::timeout(PATIENCE, through).await.expect("in time");
        assert!(text.contains("[DONE]"), "{text}");
        assert_eq!(header.is_some(), !dry);
        assert_eq!(text.contains("reasoning_content"), dry, "{text}");
        if let Some(header) = header {
            let id = guard.policies.open_decisions().first().expect("made").id.clone();
            assert_eq!(header, format!("strip_reasoning; decision={id}"));
        }
        gateway.stop().await;
    }
}

fn exchange(i: u64, account: &str, prompt: String) -> Exchange {
    let time = jiff::Timestamp::from_millisecond(NOW + i64::try_from(i).expect("small") * 60_000);
    Exchange {
        id: format!("x-{i}"),
        time: Some(time.expect("a time")),
        account: Some(account.to_owned()),
        plan: None,
        client: stillwatch_evidence::Client::default(),
        model: "m".to_owned(),
        params: serde_json::Map::new(),
        messages: vec![Message { role: "user".to_owned(), content: prompt }],
        response: stillwatch_evidence::Response::default(),
        usage: None,
    }
}

#[test]
fn policy_dry_run_over_a_log_counts_and_repeats() {
    let policies: Vec<PolicyConfig> = Measure::ALL
        .into_iter()
        .map(|measure| PolicyConfig { dry_run: true, ..policy(measure) })
        .collect();
    let log =
        || (0..600).map(|i| exchange(i, &format!("account-{}", i % 7), format!("question {i}?")));
    let params = DryRunParams::default();
    let report = dry_run(&policies, log(), &params).expect("policies that can be");
    assert_eq!((report.n_exchanges, report.n_accounts), (600, 7));
    assert_eq!(report.policies.len(), policies.len());
    assert!(report.from < report.until);
    assert_eq!(report, dry_run(&policies, log(), &params).expect("again"), "the same each time");
    let empty = dry_run(&policies, Vec::new(), &params).expect("an empty log");
    assert_eq!((empty.n_exchanges, empty.hits.len()), (0, 0));
    let broken = PolicyConfig { factor: Some(1), ..policy(Measure::Exposure) };
    assert!(dry_run(&[broken], Vec::new(), &params).is_err());
}
