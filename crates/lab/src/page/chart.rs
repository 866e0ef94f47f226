//! SVG made here.

use maud::{Markup, html};

/// Width of every drawing in its own units; the page scales it.
const WIDTH: f64 = 720.0;

/// An SVG with its name and description for readers that don't see it.
pub(crate) fn svg(id: &str, name: &str, description: &str, height: f64, body: &Markup) -> Markup {
    html! {
        svg viewBox=(format!("0 0 {} {}", px(WIDTH), px(height))) role="img"
            aria-labelledby=(format!("{id}-t {id}-d")) xmlns="http://www.w3.org/2000/svg" {
            title id=(format!("{id}-t")) { (name) }
            desc id=(format!("{id}-d")) { (description) }
            (body)
        }
    }
}

/// A drawing coordinate, one decimal.
pub(crate) fn px(value: f64) -> String {
    let text = format!("{value:.1}");
    text.strip_suffix(".0").map_or(text.clone(), str::to_owned)
}
