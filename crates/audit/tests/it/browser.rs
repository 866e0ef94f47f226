//! The report in a real browser: it draws, it is not blank, and it asks the network for nothing.

use crate::synth::Plan;
use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
    process::Command,
};
use stillwatch_audit::{
    AuditContext, AuditParams, HashedInput, ReportInput, Role, SetAside, ShownTexts,
    evaluate_with_series, render_report,
};
use stillwatch_evidence::{Decide, Predates};

/// Where a browser may be.
const BROWSERS: [&str; 3] =
    ["/usr/bin/chromium", "/usr/bin/chromium-browser", "/usr/bin/google-chrome"];

/// A report with everything in it.
pub(crate) fn full_report(effect: f64, decide: Decide) -> String {
    let plan = Plan {
        n: 640,
        references: 2,
        accounts: 20,
        guilty: vec![3, 7, 11],
        effect,
        shared: 0.85,
        ..Plan::default()
    };
    let table = plan.table();
    let older = Role::Reference { predates: Predates::Declared };
    let context = AuditContext {
        suspect: "hf:models/student".to_owned(),
        roles: BTreeMap::from([("ref1".to_owned(), older), ("ref2".to_owned(), Role::Placebo)]),
        set_aside: vec![
            SetAside { reason: "all texts of the exposure are the same".to_owned(), count: 7 },
            SetAside { reason: "suspect: answer longer than the context".to_owned(), count: 2 },
        ],
        ..AuditContext::default()
    };
    let params = AuditParams { decide, n_resamples: 20_000, ..AuditParams::default() };
    let evaluation = evaluate_with_series(&table, &context, &params).expect("a good table");
    render_report(&ReportInput {
        evaluation: &evaluation,
        context: &context,
        params: &params,
        question: "Was hf:models/student trained on the answers that were released?",
        made: "2026-01-05T09:30:00Z",
        inputs: &[HashedInput {
            name: "exposures.jsonl".to_owned(),
            sha256: "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53".to_owned(),
        }],
        timeline: &[
            ("2025-11-02T08:00:00Z".to_owned(), "first exposure sent, as its file says".to_owned()),
            ("2025-12-19T17:42:10Z".to_owned(), "last exposure sent, as its file says".to_owned()),
        ],
        commands: &[
            "stillwatch audit --suspect hf:models/student --exposures exposures.jsonl --reference hf:models/base --out case".to_owned(),
            "stillwatch verify case".to_owned(),
        ],
        texts: &[ShownTexts {
            id: "pair-0001".to_owned(),
            released: "<script>alert('no')</script> The tide goes out twice a day.".to_owned(),
            withheld: vec!["Twice a day the tide goes out.".to_owned()],
        }],
    })
}

fn browser() -> Option<&'static Path> {
    BROWSERS.iter().map(Path::new).find(|p| p.exists())
}

fn screenshot(browser: &Path, dir: &Path, html: &str, extra: &[&str]) -> PathBuf {
    let page = dir.join("report.html");
    fs_err::write(&page, html).expect("a temporary folder is writable");
    let image = dir.join("report.png");
    let status = Command::new(browser)
        .args(["--headless", "--no-sandbox", "--disable-gpu", "--no-first-run"])
        .args(["--disable-background-networking", "--disable-component-update", "--disable-sync"])
        .args(["--hide-scrollbars", "--window-size=1000,5600"])
        .arg(format!("--user-data-dir={}", dir.join("profile").display()))
        .arg(format!("--screenshot={}", image.display()))
        .args(extra)
        .arg(format!("file://{}", page.display()))
        .output()
        .expect("the browser starts");
    assert!(status.status.success(), "{}", String::from_utf8_lossy(&status.stderr));
    image
}

/// Rows of pixels of an 8-bit PNG, three or four bytes each.
fn pixels(image: &Path) -> (u32, u32, Vec<[u8; 3]>) {
    let file = std::io::BufReader::new(fs_err::File::open(image).expect("a screenshot was taken"));
    let mut reader = png::Decoder::new(file).read_info().expect("a PNG");
    let mut bytes = vec![0; reader.output_buffer_size().expect("a size that fits")];
    let info = reader.next_frame(&mut bytes).expect("a whole PNG");
    let channels = info.color_type.samples();
    let pixels =
        bytes[..info.buffer_size()].chunks_exact(channels).map(|p| [p[0], p[1], p[2]]).collect();
    (info.width, info.height, pixels)
}

#[test]
fn browser_draws_the_report() {
    let Some(browser) = browser() else {
        println!("skipped: no Chromium at {BROWSERS:?}");
        return;
    };
    let dir = tempfile::tempdir().expect("a temporary folder");
    let image = screenshot(browser, dir.path(), &full_report(1.1, Decide::P), &[]);
    let (width, height, pixels) = pixels(&image);
    assert!(width >= 900 && height >= 3000, "{width} x {height}");
    let colours: BTreeSet<[u8; 3]> = pixels.iter().copied().collect();
    assert!(colours.len() > 100, "{} colours: blank", colours.len());
    // The bars and lines of the drawings are there, in their colour.
    let blue = pixels.iter().filter(|p| **p == [0x1d, 0x4e, 0xd8]).count();
    assert!(blue > 2_000, "{blue} pixels of the drawings' blue");
    if let Some(keep) = std::env::var_os("STILLWATCH_KEEP_SCREENSHOT") {
        let keep = PathBuf::from(keep);
        let page = dir.path().join("report.html");
        fs_err::copy(&image, &keep).expect("the place to keep it is writable");
        fs_err::copy(page, keep.with_extension("html")).expect("the place to keep it is writable");
    }
}

#[test]
fn the_report_asks_the_network_for_nothing() {
    let html = full_report(0.0, Decide::E);
    for forbidden in
        ["<script", "<iframe", "<img", "@import", "url(", "src=", "http-equiv=\"refresh"]
    {
        assert!(!html.contains(forbidden), "{forbidden}");
    }
    // Addresses: the SVG namespace names itself and fetches nothing.
    for after in html.split("http").skip(1) {
        let known = after.starts_with("://www.w3.org/2000/svg\"") || after.starts_with("-equiv");
        let start: String = after.chars().take(60).collect();
        assert!(known, "http{start}");
    }
    assert!(html.contains("&lt;script&gt;"), "texts are escaped");
}
