//! From what was measured to decisions: which policy applies to whom, in which order, how long,
//! and what stops it.

use stillwatch_evidence::ledger::OsEntropy;
use stillwatch_guard::limits::PlanLimits;
use stillwatch_guard::policy::engine::{CLEARED_MS, Change, Step};
use stillwatch_guard::policy::{Book, Decision, DecisionState, Measure, PolicyConfig};
use stillwatch_traffic::{AccountRisk, Analysis, Campaign, Reason};

pub(crate) const NOW: i64 = 1_795_000_000_000;
pub(crate) const HOUR: i64 = 3_600_000;
pub(crate) const DAY: i64 = 24 * HOUR;

/// An analysis with one flagged campaign of these accounts, connected by these families, among
/// 1,000 known accounts.
pub(crate) fn campaign(accounts: &[&str], families: &[&str], n: u64) -> Analysis {
    let reason = |code: &str| Reason {
        code: code.to_owned(),
        text: format!("{code} stands out"),
        value: 0.9,
        baseline: 0.1,
        ..Reason::default()
    };
    let owned = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
    Analysis {
        time_ms: NOW,
        accounts: accounts
            .iter()
            .map(|account| AccountRisk {
                account: (*account).to_owned(),
                n,
                score: 0.9,
                flagged: true,
                campaign: Some("c-1".to_owned()),
                reasons: vec![reason("reasoning_asked")],
            })
            .collect(),
        campaigns: vec![Campaign {
            id: "c-1".to_owned(),
            accounts: owned(accounts),
            score: 0.9,
            flagged: true,
            families: owned(families),
            reasons: vec![reason("shared_text")],
            ..Campaign::default()
        }],
        n_accounts: 1_000,
        n_exchanges: 100_000,
    }
}

type Tweak = fn(&mut PolicyConfig);
/// Measure, setting, families, requests; what becomes of it.
type Row = (Measure, Tweak, &'static [&'static str], u64, Option<DecisionState>);

pub(crate) fn policy(measure: Measure) -> PolicyConfig {
    let mut policy = PolicyConfig { dry_run: false, ..PolicyConfig::new(measure.name(), measure) };
    match measure {
        Measure::SharedBudget => policy.limits = Some(PlanLimits::default()),
        Measure::HoldNewModels => policy.models = vec!["new-*".to_owned()],
        Measure::Exposure => policy.factor = Some(10),
        Measure::Downgrade => {
            policy.instead = [("big".to_owned(), "small".to_owned())].into();
        }
        _ => {}
    }
    policy
}

/// Runs a step and takes its changes into the book; the decisions made.
fn step(
    policies: &[PolicyConfig],
    book: &mut Book,
    analysis: &Analysis,
    now_ms: i64,
) -> Vec<Decision> {
    let step = Step { policies, book, now_ms };
    let changes = step.changes(analysis, &mut OsEntropy).expect("randomness");
    let mut made = Vec::new();
    for change in changes {
        match change {
            Change::Make(decision) => {
                made.push((*decision).clone());
                book.put(*decision);
            }
            Change::Renew(decision) | Change::Expire(decision) => book.put(*decision),
            Change::Stop { policy, why } => book.stop(&policy, &why),
        }
    }
    made
}

#[test]
fn policies_apply_to_whom_they_say() {
    use DecisionState::{Active, Proposed};
    let two: &'static [&'static str] = &["text", "sharding"];
    let three: &'static [&'static str] = &["text", "infrastructure", "sharding"];
    let table: [Row; 18] = [
        (Measure::Shadow, |_| {}, &["text"], 25, Some(Active)),
        (Measure::Shadow, |_| {}, &["text"], 19, None),
        (Measure::Shadow, |p| p.requests_min = 10, &["text"], 19, Some(Active)),
        (Measure::StripReasoning, |_| {}, &["text"], 25, None),
        (Measure::StripReasoning, |_| {}, two, 25, Some(Active)),
        (Measure::StripReasoning, |p| p.needs_human = Some(true), two, 25, Some(Proposed)),
        (Measure::StripReasoning, |p| p.families_min = Some(4), three, 25, None),
        (Measure::StripReasoning, |p| p.campaigns = false, three, 25, None),
        (Measure::StripReasoning, |p| p.exempt_accounts = vec!["a".into()], three, 25, None),
        (Measure::StripReasoning, |p| p.reasons = vec!["other".into()], three, 25, None),
        (
            Measure::StripReasoning,
            |p| p.reasons = vec!["shared_text".into()],
            two,
            25,
            Some(Active),
        ),
        (Measure::SharedBudget, |_| {}, two, 25, Some(Active)),
        (Measure::Exposure, |_| {}, two, 25, Some(Active)),
        (Measure::Verification, |_| {}, two, 25, None),
        (Measure::Verification, |_| {}, three, 25, Some(Proposed)),
        (Measure::HoldNewModels, |_| {}, three, 25, Some(Proposed)),
        (Measure::TemplateQuarantine, |_| {}, three, 25, Some(Proposed)),
        (Measure::Suspension, |_| {}, three, 25, Some(Proposed)),
    ];
    for (i, (measure, tweak, families, n, expected)) in table.into_iter().enumerate() {
        let mut policy = policy(measure);
        tweak(&mut policy);
        let analysis = campaign(&["a"], families, n);
        let made = step(&[policy], &mut Book::default(), &analysis, NOW);
        assert_eq!(made.first().map(|d| d.state), expected, "row {i}: {measure}");
    }
}

#[test]
fn nothing_is_done_to_who_is_not_flagged() {
    let mut analysis = campaign(&["a", "b"], &["text", "infrastructure", "sharding"], 50);
    for campaign in &mut analysis.campaigns {
        campaign.flagged = false;
    }
    for account in &mut analysis.accounts {
        account.flagged = false;
    }
    let policies: Vec<PolicyConfig> = Measure::ALL.into_iter().map(policy).collect();
    assert!(step(&policies, &mut Book::default(), &analysis, NOW).is_empty());
}

#[test]
fn a_decision_says_what_was_measured_and_has_a_name_nobody_guesses() {
    let analysis = campaign(&["a", "b"], &["text", "sharding"], 25);
    let made = step(&[policy(Measure::StripReasoning)], &mut Book::default(), &analysis, NOW);
    let [a, b] = made.as_slice() else { panic!("two decisions") };
    assert_eq!((a.account.as_str(), b.account.as_str()), ("a", "b"));
    assert_eq!(a.reason, "shared_text");
    assert_eq!(a.families, ["sharding", "text"]);
    let codes: Vec<&str> = a.reasons.iter().map(|reason| reason.code.as_str()).collect();
    assert_eq!(codes, ["shared_text", "reasoning_asked"]);
    assert_eq!(a.expires_ms, NOW + 7 * DAY);
    assert_eq!(a.id.len(), "dec-".len() + 32);
    assert_ne!(a.id, b.id);
}

#[test]
fn escalation_goes_step_by_step_after_the_dwell_time() {
    let policies = [
        policy(Measure::Shadow),
        policy(Measure::StripReasoning),
        PolicyConfig { dwell_hours: 48.0, ..policy(Measure::Verification) },
    ];
    let analysis = campaign(&["a"], &["text", "infrastructure", "sharding"], 25);
    let mut book = Book::default();
    let measures = |made: Vec<Decision>| made.iter().map(|d| d.measure).collect::<Vec<_>>();
    assert_eq!(measures(step(&policies, &mut book, &analysis, NOW)), [Measure::Shadow]);
    assert!(step(&policies, &mut book, &analysis, NOW + 23 * HOUR).is_empty());
    let second = step(&policies, &mut book, &analysis, NOW + 24 * HOUR);
    assert_eq!(measures(second), [Measure::StripReasoning]);
    assert!(step(&policies, &mut book, &analysis, NOW + 71 * HOUR).is_empty());
    let third = step(&policies, &mut book, &analysis, NOW + 72 * HOUR);
    assert_eq!(third.first().map(|d| (d.measure, d.state)), {
        Some((Measure::Verification, DecisionState::Proposed))
    });
}

#[test]
fn a_dry_run_of_the_milder_policy_is_no_step_for_a_harsher_one_in_force() {
    let dry = PolicyConfig { dry_run: true, ..policy(Measure::StripReasoning) };
    let policies = [policy(Measure::Shadow), dry, policy(Measure::Exposure)];
    let analysis = campaign(&["a"], &["text", "sharding"], 25);
    let mut book = Book::default();
    step(&policies, &mut book, &analysis, NOW);
    let made = step(&policies, &mut book, &analysis, NOW + DAY);
    // Both stand on shadow: the dry run is passed over by the one in force.
    let measures: Vec<(Measure, bool)> = made.iter().map(|d| (d.measure, d.dry_run)).collect();
    assert_eq!(measures, [(Measure::StripReasoning, true), (Measure::Exposure, false)]);
}

#[test]
fn decisions_expire_unless_the_same_is_still_measured() {
    let policies = [policy(Measure::StripReasoning)];
    let analysis = campaign(&["a"], &["text", "sharding"], 25);
    let quiet = Analysis { time_ms: NOW, ..Analysis::default() };
    let mut book = Book::default();
    let made = step(&policies, &mut book, &analysis, NOW);
    let id = made.first().expect("made").id.clone();
    let expires = |book: &Book| book.get(&id).expect("kept").expires_ms;

    step(&policies, &mut book, &analysis, NOW + 3 * DAY);
    assert_eq!(expires(&book), NOW + 7 * DAY, "more than half is left");
    step(&policies, &mut book, &analysis, NOW + 4 * DAY);
    assert_eq!(expires(&book), NOW + 11 * DAY, "renewed");
    step(&policies, &mut book, &quiet, NOW + 11 * DAY - 1);
    assert_eq!(book.get(&id).expect("kept").state, DecisionState::Active);
    step(&policies, &mut book, &quiet, NOW + 11 * DAY);
    assert_eq!(book.get(&id).expect("kept").state, DecisionState::Expired);
    // A clock that is set back brings nothing back.
    step(&policies, &mut book, &quiet, NOW);
    assert_eq!(book.get(&id).expect("kept").state, DecisionState::Expired);
}

#[test]
fn a_policy_that_would_hit_too_many_leaves_the_rest_to_a_human() {
    let names: Vec<String> = (0..80).map(|i| format!("account-{i:02}")).collect();
    let accounts: Vec<&str> = names.iter().map(String::as_str).collect();
    let analysis = campaign(&accounts, &["text", "sharding"], 25);
    let mut strip = policy(Measure::StripReasoning);
    strip.budget.accounts_share = 0.03;
    let mut book = Book::default();
    let count = |made: &[Decision], state| made.iter().filter(|d| d.state == state).count();
    let made = step(&[strip.clone()], &mut book, &analysis, NOW);
    // 3% of 1,000 known accounts.
    assert_eq!(count(&made, DecisionState::Active), 30);
    assert_eq!(count(&made, DecisionState::Proposed), 50);

    let few = PolicyConfig { name: "few".to_owned(), ..strip };
    let small = Analysis { n_accounts: 100, ..analysis };
    let made = step(&[few], &mut Book::default(), &small, NOW);
    assert_eq!(count(&made, DecisionState::Active), 10, "the least, however few are known");

    let made = step(&[policy(Measure::Shadow)], &mut Book::default(), &small, NOW);
    assert_eq!(count(&made, DecisionState::Active), 80, "shadow hits nobody");
}

#[test]
fn granted_appeals_stop_a_policy_and_clear_the_account() {
    let policies = [policy(Measure::StripReasoning)];
    let analysis = campaign(&["a", "b"], &["text", "sharding"], 25);
    let mut book = Book::default();
    let mut innocent = step(&policies, &mut book, &analysis, NOW).remove(0);
    innocent.set_state(DecisionState::Revoked, "admin sw-admin-abcde", NOW + HOUR);
    book.put(innocent);
    assert!(step(&policies, &mut book, &analysis, NOW + 2 * HOUR).is_empty(), "a is cleared");
    let again = step(&policies, &mut book, &analysis, NOW + HOUR + CLEARED_MS);
    assert!(again.iter().any(|d| d.account == "a"), "not for ever");

    for i in 0..3 {
        assert!(!book.is_stopped("strip_reasoning"));
        book.grant("strip_reasoning", NOW + i);
        let more = campaign(&[&format!("more-{i}")], &["text", "sharding"], 25);
        let made = step(&policies, &mut book, &more, NOW + 3 * HOUR);
        assert_eq!(made.len(), usize::from(i < 2), "after {} granted appeals", i + 1);
    }
    assert!(book.is_stopped("strip_reasoning"));
    book.resume("strip_reasoning", NOW + 4 * HOUR);
    let more = campaign(&["later"], &["text", "sharding"], 25);
    assert_eq!(step(&policies, &mut book, &more, NOW + 5 * HOUR).len(), 1, "a human let it go on");
}

#[test]
fn a_milder_policy_that_stopped_is_no_step_to_a_harsher_one() {
    let policies = [policy(Measure::StripReasoning), policy(Measure::Exposure)];
    let analysis = campaign(&["a"], &["text", "sharding"], 25);
    let mut book = Book::default();
    step(&policies, &mut book, &analysis, NOW);
    book.stop("strip_reasoning", "it hits innocents");
    assert!(step(&policies, &mut book, &analysis, NOW + 2 * DAY).is_empty());
    book.resume("strip_reasoning", NOW + 2 * DAY);
    assert_eq!(step(&policies, &mut book, &analysis, NOW + 2 * DAY).len(), 1);
}

#[test]
fn a_verified_account_is_left_alone() {
    let policies = [policy(Measure::Verification)];
    let analysis = campaign(&["a"], &["text", "infrastructure", "sharding"], 25);
    let mut book = Book::default();
    let mut decision = step(&policies, &mut book, &analysis, NOW).remove(0);
    decision.set_state(DecisionState::Revoked, "verification report", NOW + HOUR);
    decision.verified = true;
    book.put(decision);
    assert!(step(&policies, &mut book, &analysis, NOW + 89 * DAY).is_empty());
    assert_eq!(step(&policies, &mut book, &analysis, NOW + 91 * DAY).len(), 1);
}

#[test]
fn without_configuration_only_shadow_is_there() {
    let defaults = PolicyConfig::defaults();
    let measures: Vec<Measure> = defaults.iter().map(|policy| policy.measure).collect();
    assert_eq!(measures, [Measure::Shadow]);
    for measure in Measure::ALL {
        assert!(PolicyConfig::new("p", measure).dry_run, "{measure}: dry by default");
    }
}

#[test]
fn what_no_configuration_can_lift_is_refused() {
    let table: [(Measure, Tweak, &str); 13] = [
        (Measure::SharedBudget, |p| p.exempt_plans = vec!["p".into()], "policy[0].exempt_plans"),
        (Measure::Suspension, |p| p.needs_human = Some(false), "policy[0].needs_human"),
        (Measure::Verification, |p| p.families_min = Some(2), "policy[0].families_min"),
        (Measure::SharedBudget, |p| p.limits = None, "policy[0].limits"),
        (Measure::HoldNewModels, |p| p.models.clear(), "policy[0].models"),
        (Measure::Exposure, |p| p.factor = Some(1), "policy[0].factor"),
        (Measure::Downgrade, |p| p.instead.clear(), "policy[0].instead"),
        (Measure::Shadow, |p| p.factor = Some(3), "policy[0].factor"),
        (Measure::Shadow, |p| p.name.clear(), "policy[0].name"),
        (Measure::Shadow, |p| p.name = "manual".to_owned(), "policy[0].name"),
        (Measure::Shadow, |p| p.expires_hours = 1e9, "policy[0].expires_hours"),
        (Measure::Shadow, |p| p.dwell_hours = f64::NAN, "policy[0].dwell_hours"),
        (Measure::Shadow, |p| p.budget.accounts_share = 1.5, "policy[0].budget.accounts_share"),
    ];
    for (measure, tweak, expected) in table {
        let mut policy = policy(measure);
        tweak(&mut policy);
        let error = PolicyConfig::check(&[policy]).expect_err(expected).to_string();
        assert!(error.starts_with(expected), "{error}");
    }
    let twice = [policy(Measure::Shadow), policy(Measure::Shadow)];
    assert!(PolicyConfig::check(&twice).is_err());
    let all: Vec<PolicyConfig> = Measure::ALL.into_iter().map(policy).collect();
    PolicyConfig::check(&all).expect("all of them together are fine");
}

#[test]
fn models_are_held_and_replaced_by_name() {
    let hold = policy(Measure::HoldNewModels);
    assert!(hold.holds("new-7b") && !hold.holds("newer") && !hold.holds("old"));
    let mut downgrade = policy(Measure::Downgrade);
    assert_eq!(downgrade.instead_of("big"), Some("small"));
    assert_eq!(downgrade.instead_of("small"), None);
    assert_eq!(downgrade.instead_of("other"), None);
    downgrade.instead.insert("*".to_owned(), "tiny".to_owned());
    assert_eq!(downgrade.instead_of("other"), Some("tiny"));
    assert_eq!(downgrade.instead_of("small"), None, "what answers already stays");
}
