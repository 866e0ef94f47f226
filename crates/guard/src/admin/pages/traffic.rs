//! The traffic of the last hours: drawings, and the same numbers as a table.

use super::{plot, show};
use crate::observe::Totals;
use maud::{Markup, html};

/// Windows to look at: hours, minutes in one bar.
const WINDOWS: [(usize, usize); 3] = [(1, 1), (3, 1), (24, 10)];

/// Rows of the table at most.
const ROWS_MAX: usize = 24;

/// The window that was asked for, or three hours.
pub(super) fn window(hours: Option<usize>) -> (usize, usize) {
    let asked = WINDOWS.iter().find(|(known, _)| Some(*known) == hours);
    asked.copied().unwrap_or((3, 1))
}

/// The figure.
pub(super) fn figure(bins: &[(i64, Totals)], hours: usize, width: usize) -> Markup {
    html! {
        section.card aria-labelledby="traffic" {
            div.head {
                h2 id="traffic" { "Traffic" }
                p.small { "Last "
                    @for (at, (known, _)) in WINDOWS.iter().enumerate() {
                        @if at > 0 { " · " }
                        @if *known == hours { b { (known) " h" } } @else { a href=(format!("/?hours={known}")) { (known) " h" } }
                    }
                }
            }
            figure {
                figcaption { "Requests per " (unit(width)) "; red: refused or failed; violet dots: exposures. Times are UTC." }
                (plot::requests(bins))
            }
            figure {
                figcaption { "Tokens per " (unit(width)) ", prompts and answers." }
                (plot::tokens(bins))
            }
            details {
                summary { "The same as a table" }
                (table(bins))
            }
        }
    }
}

fn unit(width: usize) -> String {
    if width == 1 { "minute".to_owned() } else { format!("{width} minutes") }
}

fn table(bins: &[(i64, Totals)]) -> Markup {
    let chunk = bins.len().div_ceil(ROWS_MAX).max(1);
    html! {
        div.scroll { table {
            caption { "Sums from the given time on" }
            thead { tr {
                th scope="col" { "from" }
                th.n scope="col" { "requests" } th.n scope="col" { "refused" } th.n scope="col" { "failed" }
                th.n scope="col" { "tokens" } th.n scope="col" { "exposures" }
            } }
            tbody { @for rows in bins.chunks(chunk) {
                @let sum = rows.iter().fold(Totals::default(), |sum, (_, t)| sum.plus(*t));
                tr {
                    th scope="row" { (rows.first().map(|(begin, _)| show::clock(*begin)).unwrap_or_default()) }
                    td.n { (show::count(sum.requests)) } td.n { (show::count(sum.refused)) } td.n { (show::count(sum.failed)) }
                    td.n { (show::count(sum.tokens)) } td.n { (show::count(sum.exposures)) }
                }
            } }
        } }
    }
}
