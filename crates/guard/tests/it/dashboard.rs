//! The dashboard: what it shows, in a real browser.

use crate::chromium::Chromium;
use crate::gateway::{self, Gateway};
use crate::site::Site;
use serde_json::json;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use stillwatch_guard::keys::NewAccount;
use stillwatch_guard::limits::Cost;
use stillwatch_guard::request::Api;
use stillwatch_guard::store::{AppealRow, DecisionRow};
use stillwatch_guard::{Clock, ManualClock, Secrets};
use stillwatch_testkit::traffic::{Class, Kind, Replay, ReplayParams, Style};
use stillwatch_testkit::upstream::{Behaviour, MockUpstream};

/// A name of an account that would break out of every context it could be put in.
const HOSTILE: &str = "\"><script>alert(1)</script><img src=x onerror=alert(2)>'/../..";

/// A guard that has seen campaigns and innocents, with decisions and appeals.
async fn seeded() -> (MockUpstream, Gateway, String) {
    let replay = Replay::new(&params());
    let clock = Arc::new(ManualClock::new(replay.end_ms()));
    let upstream = MockUpstream::start(Behaviour::default());
    let mut config = gateway::config(&[&upstream]);
    config.exposure.rate = 0.01;
    let time: Arc<dyn Clock> = Arc::<ManualClock>::clone(&clock);
    let gateway = Gateway::start_at(config, &Secrets::default(), time).await;
    for (n, mut exchange) in replay.enumerate() {
        if n % 997 == 0 {
            exchange.account = Some(HOSTILE.to_owned());
        }
        gateway.guard.detector.observe(exchange);
        if n % 512 == 0 {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    }
    gateway.guard.detector.analyse_now().await;
    count_traffic(&gateway, &clock);
    decide(&gateway).await;
    let key = gateway.guard.keys.first_admin_key().expect("the first start makes one");
    (upstream, gateway, key.expose().to_owned())
}

fn params() -> ReplayParams {
    ReplayParams {
        ordinary: 120,
        per_class: 4,
        classes: Class::ALL.to_vec(),
        per_campaign: 12,
        campaigns: Kind::ALL.iter().take(4).map(|kind| (*kind, Style::A)).collect(),
        ..ReplayParams::default()
    }
}

/// Three hours of traffic.
fn count_traffic(gateway: &Gateway, clock: &ManualClock) {
    let (metrics, history) = (&gateway.guard.metrics, gateway.guard.observer.history());
    let now_ms = gateway.guard.clock.now_ms();
    for ago in (0..180_i64).rev() {
        let wave = 40 + (ago * 37) % 23 + 30 * i64::from(ago % 60 < 20);
        for n in 0..wave {
            let status = if n % 19 == 7 {
                429
            } else if n % 41 == 3 {
                502
            } else {
                200
            };
            let took = Duration::from_millis(80 + 3 * u64::try_from(n).unwrap_or(0));
            metrics.answered(Some(Api::Chat), status, Some(took / 3), took);
            metrics.added.observe(Duration::from_micros(60 + u64::try_from(n).unwrap_or(0)));
            metrics.spent(Cost { prompt_tokens: 210, completion_tokens: 330 });
        }
        if ago % 9 == 0 {
            metrics.exposures_begun.inc();
            metrics.exposures_finished.inc();
            metrics.exposure_tokens.inc_by(412);
            metrics.ledger_fsync.observe(Duration::from_micros(900 + ago.unsigned_abs() * 10));
        }
        clock.set(now_ms + (180 - ago) * 60_000);
        history.sample(metrics, clock.now_ms());
    }
    metrics.exposures_dropped.get("slot_failed").inc_by(2);
    metrics.exposures_skipped.get("greedy").inc_by(31);
    metrics.exposures_skipped.get("conversation_exposed_before").inc_by(12);
    metrics.exposures_identical.inc_by(1);
}

async fn decide(gateway: &Gateway) {
    let (store, now_ms) = (&gateway.guard.store, gateway.guard.clock.now_ms());
    let analysis = gateway.guard.detector.latest();
    let states = ["proposed", "active", "contested", "expired", "revoked"];
    let mut rows = Vec::new();
    for (n, risk) in analysis.accounts.iter().take(9).enumerate() {
        let made_ms = now_ms - 3_600_000 * i64::try_from(n + 1).expect("few");
        rows.push(DecisionRow {
            id: format!("dec-{n:032x}"),
            policy: "cluster-budget".to_owned(),
            measure: ["shared_budget", "verification", "strip_reasoning"][n % 3].to_owned(),
            account: if n == 0 { HOSTILE.to_owned() } else { risk.account.clone() },
            cluster: risk.campaign.clone().unwrap_or_default(),
            code: risk.reasons.first().map_or("by_hand", |r| r.code.as_str()).to_owned(),
            detail: json!({ "reasons": risk.reasons, "made_by": "policy", "note": HOSTILE })
                .to_string(),
            dry_run: n % 4 == 3,
            state: states[n % states.len()].to_owned(),
            created_ms: made_ms,
            expires_ms: Some(made_ms + 7 * 86_400_000),
            ended_ms: None,
            ended_by: String::new(),
            changed: 0,
        });
    }
    store.put_decisions(&rows).await.expect("the store takes them");
    let appeal = AppealRow {
        id: "app-00000000000000000000000000000001".to_owned(),
        decision: rows[2].id.clone(),
        text: format!("We are a school; one homework, thirty pupils. {HOSTILE}"),
        contact: "head@school.example".to_owned(),
        state: "open".to_owned(),
        created_ms: now_ms - 600_000,
        resolved_ms: None,
        answer: String::new(),
    };
    assert!(store.put_appeal(&appeal, 5).await.expect("the store takes it"));
}

/// Where pictures are kept for people to look at.
fn pictures() -> PathBuf {
    let dir = Path::new(env!("CARGO_TARGET_TMPDIR")).join("dashboard");
    fs_err::create_dir_all(&dir).expect("the target folder is writable");
    dir
}

/// Pixels of an 8-bit PNG.
fn pixels(png: &[u8]) -> (u32, u32, Vec<[u8; 3]>) {
    let mut reader = png::Decoder::new(std::io::Cursor::new(png)).read_info().expect("a PNG");
    let mut bytes = vec![0; reader.output_buffer_size().expect("a size that fits")];
    let info = reader.next_frame(&mut bytes).expect("a whole PNG");
    let channels = info.color_type.samples();
    let pixels =
        bytes[..info.buffer_size()].chunks_exact(channels).map(|p| [p[0], p[1], p[2]]).collect();
    (info.width, info.height, pixels)
}

fn keep(browser: &mut Chromium, name: &str) {
    let png = browser.picture();
    fs_err::write(pictures().join(format!("{name}.png")), &png).expect("writable");
    let (width, height, pixels) = pixels(&png);
    assert!(width >= 400 && height >= 300, "{name}: {width} x {height}");
    let colours: BTreeSet<[u8; 3]> = pixels.into_iter().collect();
    assert!(colours.len() > 60, "{name}: {} colours: blank", colours.len());
}

/// Texts whose contrast with what is behind them is below AA, and controls that have no name.
const CHECK: &str = r"(() => {
  const lum = c => { const f = v => { v /= 255; return v <= .03928 ? v / 12.92 : ((v + .055) / 1.055) ** 2.4; };
    return .2126 * f(c[0]) + .7152 * f(c[1]) + .0722 * f(c[2]); };
  const parse = s => { const m = s.match(/[\d.]+/g).map(Number); return m.length > 3 && m[3] === 0 ? null : m; };
  const behind = e => { for (; e; e = e.parentElement) { const c = parse(getComputedStyle(e).backgroundColor); if (c) return c; } return [255, 255, 255]; };
  const bad = [];
  for (const e of document.querySelectorAll('body *')) {
    if (!e.checkVisibility()) continue;
    const own = [...e.childNodes].some(n => n.nodeType === 3 && n.textContent.trim());
    if (own) {
      const style = getComputedStyle(e), svg = e.closest('svg');
      const front = parse(svg ? style.fill : style.color);
      const back = behind(svg ? svg.parentElement : e);
      if (front) { const a = lum(front), b = lum(back), ratio = (Math.max(a, b) + .05) / (Math.min(a, b) + .05);
        const size = parseFloat(style.fontSize), large = size >= 24 || (size >= 18.66 && style.fontWeight >= 700);
        if (ratio < (large ? 3 : 4.5)) bad.push(`${ratio.toFixed(2)} ${e.tagName}.${e.getAttribute('class')} ${e.textContent.slice(0, 30)}`); }
    }
    if (['INPUT', 'SELECT', 'TEXTAREA'].includes(e.tagName) && e.type !== 'hidden' && !(e.labels && e.labels.length) && !e.getAttribute('aria-label')) bad.push('no label: ' + e.outerHTML);
    if (['A', 'BUTTON'].includes(e.tagName) && !e.textContent.trim()) bad.push('no name: ' + e.outerHTML);
    if (e.tagName === 'svg' && e.getAttribute('role') === 'img' && !e.getAttribute('aria-label')) bad.push('no label: svg');
  }
  const ids = [...document.querySelectorAll('[id]')].map(e => e.id);
  if (new Set(ids).size !== ids.length) bad.push('ids twice: ' + ids);
  for (const e of document.querySelectorAll('[aria-labelledby]')) if (!document.getElementById(e.getAttribute('aria-labelledby'))) bad.push('no target: ' + e.outerHTML.slice(0, 80));
  if (document.querySelectorAll('h1').length !== 1) bad.push('not one h1');
  if (document.querySelectorAll('main').length !== 1) bad.push('not one main');
  let last = 0; for (const h of document.querySelectorAll('h1,h2,h3')) { const n = +h.tagName[1]; if (n > last + 1) bad.push('heading skips: ' + h.textContent); last = n; }
  if (document.documentElement.scrollWidth > innerWidth + 1) bad.push('wider than the window: ' + document.documentElement.scrollWidth);
  return bad; })()";

/// What has the focus, and whether that can be seen.
const FOCUS: &str = r"(() => { const e = document.activeElement; const s = getComputedStyle(e);
  const r = e.getBoundingClientRect();
  const seen = s.outlineStyle !== 'none' && parseFloat(s.outlineWidth) >= 2 || e.className === 'skip';
  return [e.tagName, e.getAttribute('href') || e.name || e.textContent.trim(), seen && r.width > 0 && r.top >= 0]; })()";

fn check(browser: &mut Chromium, what: &str) {
    let bad = browser.evaluate(CHECK);
    assert_eq!(bad, json!([]), "{what}");
}

fn browse(mut browser: Chromium, base: &str, key: &str, campaign: &str, account: &str) {
    // In by keyboard alone: the field has the focus.
    browser.go(&format!("{base}/"));
    assert_eq!(browser.evaluate("location.pathname"), "/login");
    check(&mut browser, "login");
    keep(&mut browser, "login");
    browser.type_text(key);
    browser.load(|browser| browser.press("Enter"));
    assert_eq!(browser.evaluate("location.pathname"), "/");
    keyboard(&mut browser);
    let pages = [
        ("overview", "/".to_owned()),
        ("overview-day", "/?hours=24".to_owned()),
        ("accounts", "/accounts".to_owned()),
        ("account", format!("/accounts/{account}")),
        ("campaigns", "/campaigns".to_owned()),
        ("campaign", format!("/campaigns/{campaign}")),
        ("decisions", "/decisions".to_owned()),
        ("decision", format!("/decisions/dec-{:032x}", 2)),
        ("exposures", "/exposures".to_owned()),
        ("keys", "/keys".to_owned()),
    ];
    for (name, path) in &pages {
        for scheme in ["light", "dark"] {
            browser.media("screen", scheme);
            browser.go(&format!("{base}{path}"));
            check(&mut browser, &format!("{name}, {scheme}"));
            keep(&mut browser, &format!("{name}-{scheme}"));
        }
    }
    browser.media("screen", "light");
    for (name, path) in &pages {
        browser.size(400, 800);
        browser.go(&format!("{base}{path}"));
        check(&mut browser, &format!("{name}, narrow"));
    }
    keep(&mut browser, "exposures-narrow");
    browser.size(1_280, 900);
    browser.media("print", "dark");
    browser.go(&format!("{base}/campaigns/{campaign}"));
    let background =
        browser.evaluate("getComputedStyle(document.querySelector('.card')).backgroundColor");
    assert_eq!(background, "rgb(255, 255, 255)", "paper is white");
    assert_eq!(browser.evaluate("document.querySelector('nav').checkVisibility()"), false);
    keep(&mut browser, "campaign-print");
    // Nothing from elsewhere was asked for, nothing was refused, no script ran.
    for url in browser.requested() {
        assert!(url.starts_with(base), "{url}");
    }
    assert_eq!(browser.complaints(), Vec::<String>::new());
    assert_eq!(browser.evaluate("document.scripts.length"), 0);
}

fn keyboard(browser: &mut Chromium) {
    let mut reached = Vec::new();
    for _ in 0..15 {
        browser.press("Tab");
        let focus = browser.evaluate(FOCUS);
        assert_eq!(focus[2], true, "the focus can be seen: {focus}");
        reached.push(focus[1].as_str().expect("a name").to_owned());
    }
    let expected =
        ["#main", "/", "/accounts", "/campaigns", "/decisions", "/exposures", "/keys", "Log out"];
    assert_eq!(&reached[..expected.len()], expected, "in the order of the page");
    assert!(reached.iter().any(|name| name.starts_with("/?hours=")), "{reached:?}");
    // The skip link skips.
    browser.evaluate("document.activeElement.blur(); scrollTo(0, 0)");
    browser.evaluate("document.querySelector('.skip').focus()");
    browser.press("Enter");
    assert_eq!(browser.evaluate("document.activeElement.id"), "main");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_dashboard_can_be_read_by_all_in_a_real_browser() {
    let Some(browser) = Chromium::start() else {
        println!("skipped: no Chromium is installed");
        return;
    };
    let (_upstream, gateway, key) = seeded().await;
    let analysis = gateway.guard.detector.latest();
    let campaign = analysis.campaigns.first().map(|c| c.id.clone()).unwrap_or_default();
    let account = analysis.accounts.first().map(|a| a.account.clone()).expect("a risk");
    let base = format!("http://{}", gateway.admin);
    let done = tokio::task::spawn_blocking(move || {
        browse(browser, &base, &key, &campaign, &account);
    });
    done.await.expect("no page failed");
    gateway.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_came_from_outside_stays_text() {
    let (_upstream, gateway, key) = seeded().await;
    let visitor = Site::logged_in(&gateway, &key).await;
    let name: Vec<String> = HOSTILE.bytes().map(|b| format!("%{b:02X}")).collect();
    let name = name.concat();
    let pages = [
        "/accounts".to_owned(),
        format!("/accounts/{name}"),
        format!("/accounts?q={name}&flagged=%22%3E"),
        "/decisions".to_owned(),
        format!("/decisions/dec-{:032x}", 0),
        format!("/decisions/dec-{:032x}", 2),
        format!("/decisions?state={name}"),
    ];
    let mut shown = 0;
    for path in &pages {
        let text = visitor.page(path).await;
        assert!(!text.contains("<script") && !text.contains("<img"), "{path}: {text}");
        assert!(
            !text.contains("\"><s") && !text.contains("alert(2)>'"),
            "{path}: an attribute was left"
        );
        shown += text.matches("&lt;script&gt;alert(1)").count();
    }
    assert!(shown >= 5, "the names are shown, {shown} times");
    gateway.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn decisions_and_appeals_are_worked_by_forms() {
    let upstream = MockUpstream::start(Behaviour::default());
    let gateway = Gateway::before(&[&upstream]).await;
    let key = gateway.guard.keys.first_admin_key().expect("the first start makes one");
    let visitor = Site::logged_in(&gateway, key.expose()).await;
    let policies = &gateway.guard.policies;
    let now_ms = || gateway.guard.clock.now_ms();
    gateway
        .guard
        .keys
        .create_account(&NewAccount { name: HOSTILE.to_owned(), ..NewAccount::default() }, now_ms())
        .await
        .expect("made");
    let wish = [
        ("account", HOSTILE),
        ("measure", "strip_reasoning"),
        ("reason", "operator_review"),
        ("note", "seen by hand"),
        ("hours", "24"),
    ];
    // Without the token nothing happens, whatever the session.
    assert_eq!(visitor.post("/decisions", &wish).await.status(), 403);
    assert!(policies.open_decisions().is_empty());
    let made = visitor.submit("/decisions", "/decisions", &wish).await;
    assert_eq!(made.status(), 303, "{}", made.text().await.unwrap_or_default());
    let path = made.headers()["location"].to_str().expect("ASCII").to_owned();
    let id = path.strip_prefix("/decisions/").expect("a decision").to_owned();
    let page = visitor.page(&path).await;
    assert!(page.contains("in force") && page.contains("by admin "), "{page}");

    // An appeal is denied with an answer, a second one granted.
    for (act, state) in [("deny", "active"), ("grant", "revoked")] {
        let ip = std::net::IpAddr::from([10, 0, 0, 1]);
        let appeal = policies.appeal(&id, HOSTILE, "", ip, now_ms()).await.expect("taken");
        let page = visitor.page("/decisions").await;
        assert!(page.contains("Appeals that wait") && !page.contains("<script"), "{page}");
        let form = format!("/appeals/{}", appeal.id);
        let empty = visitor.submit(&path, &form, &[("act", act), ("answer", " ")]).await;
        assert_eq!(empty.status(), 400, "an answer is asked for");
        assert_eq!(visitor.post(&form, &[("act", act), ("answer", "no")]).await.status(), 403);
        let fields = [("act", act), ("answer", "We looked again.")];
        assert_eq!(visitor.submit(&path, &form, &fields).await.status(), 303);
        assert_eq!(policies.decision(&id).await.expect("it is there").state.name(), state);
    }
    assert!(visitor.page(&path).await.contains("We looked again."));

    // Taking back, and what can't be done.
    let made = visitor.submit("/decisions", "/decisions", &wish).await;
    assert_eq!(made.status(), 303, "{}", made.text().await.unwrap_or_default());
    let path = made.headers()["location"].to_str().expect("ASCII").to_owned();
    for (act, status) in [("explode", 400), ("approve", 409), ("revoke", 303), ("revoke", 409)] {
        let answer = visitor.submit("/decisions", &path, &[("act", act), ("note", "n")]).await;
        assert_eq!(answer.status().as_u16(), status, "{act}");
    }
    let mut blocking = wish;
    blocking[1].1 = "suspension";
    let answer = visitor.submit("/decisions", "/decisions", &blocking).await;
    assert_eq!(answer.status(), 400, "it takes three families of evidence, or saying so");
    for (path, fields) in [
        ("/decisions/dec-0", vec![("act", "revoke")]),
        ("/appeals/app-0", vec![("act", "grant"), ("answer", "a")]),
        ("/policies/none", vec![]),
    ] {
        assert_eq!(visitor.submit("/decisions", path, &fields).await.status(), 404, "{path}");
    }
    gateway.stop().await;
}
