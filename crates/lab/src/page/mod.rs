//! One self-contained HTML file and its drawings: no script, nothing from the network.
//!
//! Responsible for the frame of a page, its style, and axes for line charts. What is drawn, and
//! the words around it, are the business of whoever makes the page.

mod chart;

pub(crate) use chart::{Line, Point, line_chart, px, svg};

use maud::{DOCTYPE, Markup, PreEscaped, html};

const STYLE: &str = include_str!("style.css");

/// A whole page. Same input, same bytes.
pub(crate) fn document(title: &str, body: &Markup) -> String {
    html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'; img-src data:";
                link rel="icon" href="data:,";
                title { (title) }
                style { (PreEscaped(STYLE)) }
            }
            body { main {
                (body)
                footer { "Stillwatch " (env!("CARGO_PKG_VERSION")) ". This file needs no network and no script." }
            } }
        }
    }
    .into_string()
}
